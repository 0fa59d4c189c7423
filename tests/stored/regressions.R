# Makes regressions.csv and regressions.json: what R prints and computes for ordinary regressions.
# Usage: Rscript --vanilla tests/stored/regressions.R   (from the root; jsonlite)
suppressMessages(library(emmeans))
options(width = 80, contrasts = c("contr.treatment", "contr.poly"))
set.seed(7)
n <- 24
d <- data.frame(x = round(rnorm(n), 2), a = rep(c("p", "q", "r"), 8), b = rep(c("u", "v"), each = 12),
                w = rep(c(1, 2, 4), 8), o = round(runif(n), 2))
d$z <- 2 * d$x + 1
d$y <- round(2 + d$x + (d$a == "q") + rnorm(n, 0, 0.6), 2)
d$holes <- d$y; d$holes[c(3, 11)] <- NA
write.csv(d, "tests/stored/regressions.csv", row.names = FALSE)
d$a <- factor(d$a); d$b <- factor(d$b)
few <- d[!(d$a == "r" & d$b == "v"), ]
small <- d[c(1:5, 13:16), ]; rownames(small) <- NULL
new <- data.frame(x = c(0, 1.5, -2), a = factor(c("p", "q", "p"), levels(d$a)),
                  b = factor(c("u", "v", "v"), levels(d$b)), w = 1, o = 0.5)
new$z <- 2 * new$x + 1
models <- list(
  plain = quote(lm(y ~ x + a, d)), aliased = quote(lm(y ~ x + z + a, d)),
  "first aliased" = quote(lm(y ~ a + b + x + z + a:b, few)), crossed = quote(lm(y ~ a * b * x, d)),
  weights = quote(lm(y ~ x + a, d, weights = w)), offset = quote(lm(y ~ x + offset(o), d)),
  holes = quote(lm(holes ~ x + a, d)), "no intercept" = quote(lm(y ~ 0 + a + x, d)),
  intercept = quote(lm(y ~ 1, d)), polynomial = quote(lm(y ~ poly(x, 2) + b, d)),
  "few rows" = quote(lm(y ~ a + x + b + z, small)), "few with holes" = quote(lm(holes ~ b + x, small)),
  nested = quote(lm(y ~ a / x, d)))
`%||%` <- function(x, y) if (is.null(x)) y else x
text <- function(x) capture.output(print(x))
columns <- function(x) lapply(as.data.frame(x), function(v) as.list(as.numeric(v)))
answers <- lapply(names(models), function(name) {
  m <- suppressWarnings(eval(models[[name]]))
  predicted <- function(...) columns(suppressWarnings(predict(m, ...)))
  list(name = name, formula = paste(deparse(formula(m), 500), collapse = ""),
       data = deparse(models[[name]]$data %||% models[[name]][[3]]),
       print = text(m), summary = text(summary(m)), anova = text(anova(m)), confint = text(confint(m)),
       confint90 = columns(confint(m, level = 0.9)), table = columns(anova(m)),
       vcov = columns(unname(vcov(m))),
       coef = as.list(as.numeric(coef(m))), names = as.list(names(coef(m))),
       AIC = AIC(m), BIC = BIC(m), logLik = as.numeric(logLik(m)), logLikREML = as.numeric(logLik(m, REML = TRUE)),
       confidence = predicted(new, interval = "confidence"),
       prediction = predicted(new, interval = "prediction", level = 0.8),
       own = predicted(interval = "prediction"), se = as.list(unname(suppressWarnings(predict(m, new, se.fit = TRUE))$se.fit)),
       rstandard = as.list(as.numeric(rstandard(m))), rstudent = as.list(as.numeric(rstudent(m))),
       cooks = as.list(as.numeric(cooks.distance(m))))
})
compared <- list(
  two = quote(anova(lm(y ~ x, d), lm(y ~ x + a, d))), back = quote(anova(lm(y ~ x + a, d), lm(y ~ x, d))),
  three = quote(anova(lm(y ~ 1, d), lm(y ~ x, d), lm(y ~ a * b * x, d))),
  chisq = quote(anova(lm(y ~ x, d), lm(y ~ x + a, d), test = "Chisq")),
  cp = quote(anova(lm(y ~ x, d), lm(y ~ x + a, d), test = "Cp")),
  aliased = quote(anova(lm(y ~ a + b, few), lm(y ~ a * b, few))),
  weights = quote(anova(lm(y ~ x, d, weights = w), lm(y ~ x + a, d, weights = w))))
averaged <- list(
  list("plain", quote(lm(y ~ x + a, d)), quote(summary(emmeans(m, ~ a), infer = TRUE)), 'm.emmeans("~ a").both()'),
  list("plain", quote(lm(y ~ x + a, d)), quote(emmeans(m, pairwise ~ a)), 'm.emmeans("pairwise ~ a")'),
  list("plain", quote(lm(y ~ x + a, d)), quote(emmeans(m, ~ x, at = list(x = c(0, 1)))), 'm.emmeans("~ x", at={"x": [0, 1]})'),
  list("plain", quote(lm(y ~ x + a, d)), quote(joint_tests(m)), 'm.joint_tests()'),
  list("crossed", quote(lm(y ~ a * b * x, d)), quote(emmeans(m, ~ a | b)), 'm.emmeans("~ a | b")'),
  list("crossed", quote(lm(y ~ a * b * x, d)), quote(emmeans(m, ~ a, weights = "proportional")), 'm.emmeans("~ a", weights="proportional")'),
  list("crossed", quote(lm(y ~ a * b * x, d)), quote(joint_tests(m)), 'm.joint_tests()'),
  list("crossed", quote(lm(y ~ a * b * x, d)), quote(joint_tests(m, by = "b")), 'm.joint_tests(by="b")'),
  list("weights", quote(lm(y ~ x + a, d, weights = w)), quote(emmeans(m, pairwise ~ a)), 'm.emmeans("pairwise ~ a")'),
  list("offset", quote(lm(y ~ x + offset(o), d)), quote(emmeans(m, ~ x)), 'm.emmeans("~ x")'),
  list("first aliased", quote(lm(y ~ a + b + x + z + a:b, few)), quote(emmeans(m, ~ a * b)), 'm.emmeans("~ a * b")'),
  list("holes", quote(lm(holes ~ x + a, d)), quote(test(emmeans(m, ~ a), null = 2, side = ">")), 'm.emmeans("~ a").test(null=2, side=">")'))
means <- lapply(averaged, function(asked) {
  m <- eval(asked[[2]])
  list(name = asked[[1]], here = asked[[4]], text = suppressMessages(text(eval(asked[[3]]))))
})
comparisons <- lapply(names(compared), function(name) {
  found <- eval(compared[[name]])
  list(name = name, call = deparse(compared[[name]], 500), text = text(found), table = columns(found))
})
write(jsonlite::toJSON(list(models = answers, comparisons = comparisons, means = means), auto_unbox = TRUE, digits = I(17),
                       na = "string", pretty = TRUE), "tests/stored/regressions.json")
