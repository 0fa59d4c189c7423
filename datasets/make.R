# Makes the data sets of this folder that come from R packages or from R's random numbers.
# Usage: Rscript make.R FOLDER     (R >= 3.6 with lme4, nlme, MASS, mlmRev, HSAUR3, glmm)
# The licences and sources are in each data set's TOML; make.py makes the others and checks all.
folder <- commandArgs(TRUE)[1]
stopifnot(!is.na(folder))
levels_file <- file(file.path(folder, "levels.tsv"), "wb")
save_csv <- function(name, data) {
  for (column in names(data)) if (is.factor(data[[column]])) {
    writeLines(paste(name, column, is.ordered(data[[column]]),
                     paste(levels(data[[column]]), collapse = "|"), sep = "\t"), levels_file)
  }
  text <- as.data.frame(lapply(data, function(column) {
    if (is.factor(column) || is.character(column)) return(as.character(column))
    # the shortest text that reads back as the same number
    short <- formatC(column, digits = 15, width = 1, format = "g")
    for (digits in 16:17) {
      wrong <- as.numeric(short) != column
      short[wrong] <- formatC(column[wrong], digits = digits, width = 1, format = "g")
    }
    short
  }), check.names = FALSE)
  connection <- file(file.path(folder, paste0(name, ".csv")), "wb")
  on.exit(close(connection))
  write.table(text, connection, sep = ",", quote = FALSE, row.names = FALSE, na = "")
}
env <- new.env()
for (name in c("sleepstudy", "Dyestuff", "Dyestuff2", "Penicillin", "Pastes", "InstEval", "cake",
               "cbpp", "VerbAgg", "grouseticks", "Arabidopsis")) {
  data(list = name, package = "lme4", envir = env)
  save_csv(name, env[[name]])
}
for (name in c("BodyWeight", "Machines")) {
  data(list = name, package = "nlme", envir = env)
  save_csv(name, as.data.frame(env[[name]]))
}
for (name in c("epil", "bacteria")) {
  data(list = name, package = "MASS", envir = env)
  save_csv(name, env[[name]])
}
data(Contraception, package = "mlmRev", envir = env)
save_csv("Contraception", env$Contraception)
data(toenail, package = "HSAUR3", envir = env)
save_csv("toenail", env$toenail)
data(salamander, package = "glmm", envir = env)
save_csv("salamander", env$salamander)
save_csv("ChickWeight", as.data.frame(datasets::ChickWeight)[c("weight", "Time", "Chick", "Diet")])
save_csv("UCBAdmissions", as.data.frame(datasets::UCBAdmissions))

# Document 3: sleepstudy with two participants who have few data (after Tristan Mahr)
save_csv("df_sleep", data.frame(
  subject = c(as.character(env$sleepstudy$Subject), "374", "374", "373"),
  days = c(env$sleepstudy$Days, 0, 1, 0),
  reaction = c(env$sleepstudy$Reaction, 286, 288, 245)
))

# Document 2: simulated clusters
set.seed(1234)
re0 <- rnorm(100, 0, .5); e <- rnorm(1000); x <- rnorm(1000); clus <- rep(1:100, each = 10)
save_csv("clark_random_intercept", data.frame(clus, x, y = 3 + .75 * x + re0[clus] + e))
set.seed(1234)
re <- MASS::mvrnorm(100, mu = c(0, 0), Sigma = matrix(c(1, .25, .25, 1), 2), empirical = TRUE)
e <- rnorm(1000); x <- rnorm(1000)
save_csv("clark_random_slope",
         data.frame(clus, x, y = 3 + re[clus, 1] + (.75 + re[clus, 2]) * x + e))

# Document 3: simulated participants
set.seed(1)
one <- rnorm(20); two <- one + rnorm(20, .2, .1)
save_csv("psych252_original", data.frame(
  participant = rep(1:20, each = 2), condition = rep(1:2, 20), value = as.vector(rbind(one, two))
))
test <- function(size, sd_residual) {
  intercepts <- rnorm(size, sd = .5)
  value <- c(1 + intercepts + rnorm(size, sd = sd_residual),
             3 + intercepts + rnorm(size, sd = sd_residual))
  data.frame(participant = rep(seq_len(size), 2), condition = rep(0:1, each = size), value)
}
set.seed(1)
save_csv("psych252_test", test(100, 1))
set.seed(1)
before <- test(20, .5)
save_csv("psych252_outlier_before", before)
before$value[before$participant == 20] <- before$value[before$participant == 20] + 30
save_csv("psych252_outlier", before)
set.seed(1)
tmp <- rnorm(20)
save_csv("psych252_slopes", data.frame(
  participant = rep(1:20, 2), condition = rep(1:2, each = 20),
  value = c(tmp, mean(tmp) + rnorm(20, sd = .3))
))
set.seed(2)
intercept <- sort(rnorm(20, sd = 5)); x <- sort(runif(200))
save_csv("psych252_simpson", data.frame(
  participant = rep(1:20, each = 10), x, y = rep(intercept, each = 10) - 10 * x + rnorm(200, sd = .4)
))
close(levels_file)
