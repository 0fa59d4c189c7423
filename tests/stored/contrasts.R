# Makes contrasts.json: what emmeans prints for the questions of contrasts.txt, with the theta that
# lme4 ended at. Usage: Rscript --vanilla tests/stored/contrasts.R [FOLDER]   (from the root)
# FOLDER (default: tests/stored) holds contrasts.txt and contrasts.csv. A line of contrasts.txt is
# "name: formula", "subset name: condition", or "name | R | Python".
suppressMessages({library(lme4); library(lmerTest); library(emmeans)})
options(contrasts = c("contr.treatment", "contr.poly"), width = 80)
emm_options(lmer.df = "satterthwaite")
arguments <- commandArgs(TRUE)
folder <- if (length(arguments)) arguments[1] else "tests/stored"
lines <- readLines(file.path(folder, "contrasts.txt"))
lines <- lines[nzchar(lines) & !startsWith(lines, "#")]
data <- read.csv(file.path(folder, "contrasts.csv"), stringsAsFactors = TRUE,
                 colClasses = c(dose = "factor"))
data$b <- factor(data$b, c("lo", "hi"))
data$dose <- factor(data$dose, c("5", "10", "20", "40"))
question <- grepl(" | ", lines, fixed = TRUE)
subsets <- list(); models <- list(); theta <- list()
for (line in lines[!question]) {
  name <- sub(":.*", "", line); text <- sub("^[^:]*: *", "", line)
  if (startsWith(name, "subset ")) { subsets[[sub("subset ", "", name)]] <- text; next }
  d <- if (is.null(subsets[[name]])) data else data[eval(str2lang(subsets[[name]]), data), ]
  models[[name]] <- suppressMessages(suppressWarnings(
    eval(bquote(lmerTest::lmer(.(as.formula(text)), data = d)))))
  models[[paste0(".d", name)]] <- d
  theta[[name]] <- unname(getME(models[[name]], "theta"))
}
print_text <- function(x) capture.output(print(x))
answers <- lapply(lines[question], function(line) {
  parts <- strsplit(line, " | ", fixed = TRUE)[[1]]
  m <- models[[parts[1]]]; d <- models[[paste0(".d", parts[1])]]
  E <- function(...) emmeans(m, ...)
  T <- function(...) emtrends(m, ...)
  here <- environment()
  said <- character()
  text <- withCallingHandlers(
    tryCatch(print_text(eval(str2lang(parts[2]), here)),
             error = function(e) structure(conditionMessage(e), class = "failure")),
    warning = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleWarning") },
    message = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleMessage") })
  if (inherits(text, "failure")) list(model = parts[1], R = parts[2], failure = unclass(text))
  else list(model = parts[1], R = parts[2], text = as.list(text), said = as.list(unique(said)))
})
made <- c(R = paste(R.version$major, R.version$minor, sep = "."),
          sapply(c("lme4", "lmerTest", "emmeans"), function(p) as.character(packageVersion(p))))
writeLines(jsonlite::toJSON(list(made_by = as.list(made), theta = theta, answers = answers),
                            auto_unbox = TRUE, digits = I(17)),
           file.path(folder, "contrasts.json"))
