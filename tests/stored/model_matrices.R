# Makes what R says of the formulas in design_formulas.txt and of text formatting.
# Usage: Rscript model_matrices.R FOLDER      (jsonlite)
folder <- commandArgs(TRUE)[1]
options(contrasts = c("contr.treatment", "contr.poly"), width = 80)
library(splines)
set.seed(20)
n <- 24
d <- data.frame(
  x = rep(1:12, 2) + 0, z = round(rnorm(n), 3), k = rep(c(2L, 10L, 9L, 1L), 6),
  a = rep(c("u", "v"), each = 12), b = rep(c("p", "q", "r"), 8),
  l = rep(c(TRUE, FALSE, FALSE, TRUE), 6), o = rep(1:4, 6),
  s = rep(c("beta", "alpha", "gamma", "alpha", "beta", "gamma"), 4)
)
d[["odd name"]] <- d$z * 2
write.csv(d, file.path(folder, "design_data.csv"), row.names = FALSE, quote = TRUE)
d$a <- factor(d$a); d$b <- factor(d$b); d$o <- factor(d$o, ordered = TRUE)
matrices <- lapply(readLines(file.path(folder, "design_formulas.txt")), function(text) {
  X <- model.matrix(as.formula(text), d)
  list(formula = text, names = as.list(colnames(X)), rows = nrow(X), values = as.list(as.vector(X)))
})
write(jsonlite::toJSON(matrices, auto_unbox = TRUE, digits = I(17)),
      file.path(folder, "model_matrices.json"))

# Text: abbreviate(), format(), printCoefmat(), quantiles, and deparse() of long formulas
set.seed(42)
pieces <- c("a", "e", "x", "fb", "(Intercept)", "age", "Weight", "o.L", "bTRUE", ":", "poly(x, 2)1",
            "I(x^2)", "recipe", "temperature^4", "Time", "Diet2", " ", "`odd name`", "log(w)", "_")
abbreviated <- lapply(1:150, function(i) {
  names <- unique(replicate(sample(2:9, 1), paste(sample(pieces, sample(1:4, 1), TRUE),
                                                  collapse = sample(c("", ":", "_"), 1))))
  list(names = as.list(names), six = as.list(unname(abbreviate(names, 6))),
       eleven = as.list(unname(abbreviate(names, 11))))
})
exact <- function(x) as.list(sprintf("%.17g", x))
formatted <- lapply(1:300, function(i) {
  x <- rnorm(sample(1:6, 1)) * 10^sample(-8:9, 1) * 10^(sample(0:3, 1) * rnorm(1))
  if (runif(1) < .2) x[1] <- 0
  if (runif(1) < .1) x[1] <- NaN
  if (runif(1) < .3) x <- round(x, sample(0:3, 1))
  digits <- sample(3:7, 1); nsmall <- sample(c(0, 0, 3), 1)
  list(x = exact(x), digits = digits, nsmall = nsmall,
       text = as.list(format(x, digits = digits, nsmall = nsmall)))
})
coefficients <- lapply(1:200, function(i) {
  p <- sample(1:6, 1)
  est <- rnorm(p) * 10^runif(p, -4, 4); se <- abs(rnorm(p)) * 10^runif(p, -3, 3)
  m <- cbind(Estimate = est, `Std. Error` = se, `t value` = est / se)
  rownames(m) <- paste0("v", 1:p)
  list(estimates = exact(est), errors = exact(se), statistics = exact(est / se),
       text = as.list(capture.output(
         printCoefmat(m, digits = 4, zap.ind = integer(), tst.ind = 3, signif.stars = FALSE))))
})
quantiles <- lapply(1:100, function(i) {
  x <- quantile(rnorm(sample(5:50, 1)) * runif(1, .5, 30))
  if (runif(1) < .3) x <- x / 10^sample(1:4, 1)
  named <- structure(zapsmall(x, 5), names = c("Min", "1Q", "Median", "3Q", "Max"))
  list(x = exact(x), text = as.list(capture.output(print(named, digits = 4))))
})
rounded <- lapply(1:300, function(i) {
  digits <- sample(0:4, 1)
  x <- round(rnorm(1) * 10, 5)
  if (runif(1) < .5) x <- sample(-2000:2000, 1) / 10^digits / 2
  list(x = sprintf("%.17g", x), digits = digits, y = sprintf("%.17g", round(x, digits)))
})
atom <- function(f = c("x", "Days", "a_long_variable", "treatment.group", "`odd name`",
                       "poly(x, 2)", "log(temperature + 1)", "I(x^2)", "(x | Subject)",
                       "cut(x, breaks = c(0, 1, 2.5, 100), labels = c('a', 'b', 'c'))",
                       "ifelse(x >= 3, 1e5, 0.1)", "(Days + x)^2", "f %in% g")) sample(f, 1)
deparsed <- lapply(1:300, function(i) {
  text <- atom()
  for (j in seq_len(sample(1:9, 1))) {
    text <- paste0(text, sample(c(" + ", " + ", " + ", " - ", " * ", ":", "/"), 1), atom())
  }
  text <- paste("y ~", text)
  list(formula = text, lines = as.list(deparse(str2lang(text))))
})
write(jsonlite::toJSON(list(abbreviated = abbreviated, formatted = formatted,
                            coefficients = coefficients, quantiles = quantiles, rounded = rounded,
                            deparsed = deparsed), auto_unbox = TRUE),
      file.path(folder, "text.json"))
