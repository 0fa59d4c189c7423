# Makes comparisons.json, splitplot.csv and wild.csv: what pbkrtest's KRmodcomp and SATmodcomp and lmerTest's
# contest say and print of a split plot in three blocks, whose F tests of blocks are on 2 degrees of
# freedom, and of unbalanced growth curves.
# Usage: Rscript reference/inference/comparisons.R      (from the root of the project)
suppressMessages({library(lme4); library(lmerTest); library(pbkrtest)})
folder <- "reference/inference"
set.seed(58)
d <- expand.grid(s = factor(paste0("s", 1:5)), h = factor(c("h1", "h2")), b = factor(paste0("b", 1:3)))
d$a_rather_long_name <- round(rnorm(30), 2)
d$another_rather_long_name <- round(rnorm(30), 2)
d$y <- round(17 + 2 * rnorm(6)[interaction(d$b, d$h)] + as.integer(d$s) / 4 + rnorm(30), 3)
write.csv(d, file.path(folder, "splitplot.csv"), row.names = FALSE)
g <- sleepstudy[-c(1:7, 33, 50, 51), ]
g$f <- factor(rep_len(c("p", "q", "r"), nrow(g)))

REML <- list(big = y ~ b + s + h + (1 | b:h), small = y ~ b + s + (1 | b:h),
             none = y ~ 1 + (1 | b:h),
             long = y ~ b + s + h + a_rather_long_name + another_rather_long_name + (1 | b:h),
             long0 = y ~ b + s + a_rather_long_name + another_rather_long_name + (1 | b:h))
growth <- list(curve = Reaction ~ f * Days + (Days | Subject), only = Reaction ~ Days + (Days | Subject),
               flat = Reaction ~ f + (Days | Subject))
here <- new.env(parent = globalenv())
for (n in names(REML)) here[[n]] <- eval(bquote(lmerTest::lmer(.(REML[[n]]), d)))
for (n in names(growth)) here[[n]] <- eval(bquote(lmerTest::lmer(.(growth[[n]]), g)))
here$ml <- eval(bquote(lmerTest::lmer(.(REML$big), d, REML = FALSE)))
# Few blocks with slopes: where an F of these moments has no mean, pbkrtest shows it unscaled
wild <- list()
for (seed in 1:60) {
  set.seed(seed)
  w <- expand.grid(s = 1:2, t = factor(c("A", "B", "C")), b = factor(1:2))
  w$x <- round(rnorm(12), 2)
  w$y <- round(rnorm(12) + 3 * rnorm(2)[w$b] + rnorm(6)[interaction(w$b, w$t)], 3)
  m <- suppressMessages(suppressWarnings(lmerTest::lmer(y ~ t + x + (x | b), w)))
  m0 <- suppressMessages(suppressWarnings(lmerTest::lmer(y ~ 1 + (x | b), w)))
  test <- suppressWarnings(KRmodcomp(m, m0)$test[1, ])
  kind <- if (test$F.scaling > 0.2) NA else if (is.nan(test$p.value)) "negative" else "little"
  if (is.na(kind) || !is.null(wild[[kind]])) next
  wild[[kind]] <- cbind(kind = kind, w)
  here[[kind]] <- m
  here[[paste0(kind, "0")]] <- m0
}
write.csv(do.call(rbind, wild), file.path(folder, "wild.csv"), row.names = FALSE)
here$L <- rbind(c(0, 0, 0, 0, 0, 0, 0, 1), c(0, 0, 0, 0, 0, 0, 1, 0))
here$L3 <- rbind(here$L, colSums(here$L))
here$third <- rbind(c(0, 1, 0.5, 0, 1 / 3, 0), c(0, 0, 1, 0, 0, 0))

questions <- c(
  "KRmodcomp(big, small)", "KRmodcomp(small, big)", "KRmodcomp(ml, small)",
  "KRmodcomp(big, none)", "KRmodcomp(big, ~ . - h)", "KRmodcomp(big, . ~ . - b)",
  "KRmodcomp(ml, y ~ b + s + (1 | b:h))", "KRmodcomp(long, long0)", "KRmodcomp(big, L)",
  "KRmodcomp(big, L[1, ])", "KRmodcomp(big, L3)",
  "KRmodcomp(big, L, betaH = c(0, 0, 0, 0, 0, 0, 1, 2))", "KRmodcomp(big, L, betaH = 1)",
  "KRmodcomp(curve, only)", "KRmodcomp(curve, flat)", "KRmodcomp(curve, third)", "KRmodcomp(little, little0)", "KRmodcomp(negative, negative0)",
  "SATmodcomp(big, small)", "SATmodcomp(small, big)", "SATmodcomp(big, ~ . - h)",
  "SATmodcomp(big, L)", "SATmodcomp(big, L3)", "SATmodcomp(curve, only)",
  "SATmodcomp(curve, flat)", "SATmodcomp(curve, third)", "SATmodcomp(long, long0)",
  "anova(curve, ddf = \"Ken\")", "anova(big, ddf = \"Sat\")", "anova(ml, ddf = \"S\")",
  "contest(big, L)", "contest(big, L3)", "contest(big, L3, rhs = c(0, 0, 3))",
  "contest(big, L3, rhs = 1)", "contest(big, L3[c(3, 1, 2), ], rhs = c(100, 2, 2))",
  "contest(big, L, rhs = c(1, 2), ddf = \"Ken\")", "contest(big, L3, rhs = c(2, 2, 100), ddf = \"Ken\")",
  "contest(big, list(First = L[1, ], Second = L))",
  "contest(big, list(First = L[1, ], Second = L), joint = FALSE)",
  "contest(big, L, joint = FALSE, confint = FALSE)",
  "contest(big, L, joint = FALSE, level = 0.9, rhs = 1)",
  "contest(big, rbind(rep(0, 8)))", "contest(big, rbind(rep(0, 8), rep(0, 8)))",
  "contest(big, matrix(0, 0, 8))", "contest(big, rbind(rep(0, 8), L[1, ]), joint = FALSE)",
  "contest(big, rbind(rep(0, 8), L[1, ]))", "contest(curve, third)", "contest(curve, third, ddf = \"Ken\")",
  "contest1D(big, L[1, ], rhs = 1, ddf = \"Ken\", confint = TRUE, level = 0.8)",
  "contestMD(big, L, rhs = c(0, 1))")

numbers <- function(x) {
  if (inherits(x, "KRmodcomp") || inherits(x, "SATmodcomp")) x <- x$test[1, ]
  x <- as.data.frame(x)
  list(rows = as.list(rownames(x)), columns = as.list(colnames(x)),
       values = unname(lapply(x, function(v) as.list(as.numeric(v)))))
}
ask <- function(code) {
  said <- character()
  value <- withCallingHandlers(eval(str2lang(code), here),
    warning = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleWarning") })
  lines <- grep("^<environment", capture.output(print(value)), invert = TRUE, value = TRUE)
  list(code = code, text = as.list(lines), value = numbers(value), said = as.list(said))
}
made_by <- list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")),
                lmerTest = as.character(packageVersion("lmerTest")),
                pbkrtest = as.character(packageVersion("pbkrtest")))
theta <- lapply(mget(c(names(REML), names(growth), names(wild), "ml"), envir = here), function(m) as.list(getME(m, "theta")))
jsonlite::write_json(list(made_by = made_by, theta = theta, answers = lapply(questions, ask)),
                     file.path(folder, "comparisons.json"), auto_unbox = TRUE, digits = NA, na = "string",
                     pretty = 1)
