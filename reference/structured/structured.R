# Makes golden/*.json: what lme4 2.0 or later says of each model of cases.toml, by default and polished
# (restarted from its own answer, and from elsewhere, with tight tolerances), and its text.
# Usage: Rscript reference/structured/structured.R [CASE ...]     (from the root; lme4, jsonlite)
suppressMessages(library(lme4))
stopifnot(packageVersion("lme4") >= "2.0")
options(contrasts = c("contr.treatment", "contr.poly"), width = 80)
arguments <- commandArgs(TRUE)
suite <- "reference/structured"
folders <- c(suite, "datasets")
# read_toml(), load_data(), estimates() and the stamp are those of golden.R, one folder up
source_lines <- readLines("reference/golden.R")
evaluate <- function(from, to) eval(parse(text = source_lines[from:to]), globalenv())
evaluate(grep("^read_toml", source_lines), grep("^numbers <- ", source_lines) - 1)
evaluate(grep("^estimates <- ", source_lines), grep("^# A theta that gives", source_lines) - 1)
evaluate(grep("^stamp <- ", source_lines), grep("^folder <- ", source_lines) - 1)

value <- function(m) -2 * as.numeric(logLik(m))

# par with every correlation (or element beside the diagonal) at `share` of its way from 0 to its
# bound, every standard deviation at `size`
start_of <- function(m, size, share) {
  unlist(lapply(getReCovs(m), function(s) {
    lower <- getLower(s); upper <- getUpper(s)
    if (inherits(s, "Covariance.us")) return(ifelse(lower == 0, size, 0))
    ifelse(lower == 0, size, share * if (share < 0) -lower else upper)
  }))
}

# The best of nloptwrap and bobyqa, each started from the best point so far, tightly.
polish <- function(m) {
  best <- m
  starts <- c(rep(list(NULL), 2),
              list(start_of(m, 1, 0), start_of(m, 0.3, 0.6), start_of(m, 0.3, -0.6)),
              rep(list(NULL), 2))
  for (start in starts) for (control in list(
    lmerControl("nloptwrap", optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-12, maxeval = 1e5),
                calc.derivs = FALSE, check.conv.singular = "ignore"),
    lmerControl("bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE,
                check.conv.singular = "ignore"))) {
    from <- if (is.null(start)) getME(best, "par") else start
    from[is.na(from)] <- 0
    tried <- tryCatch(suppressWarnings(suppressMessages(
      update(best, start = list(par = unname(from)), control = control))), error = function(e) NULL)
    margin <- if (is.null(start)) 0 else 1e-6
    # a correlation at a bound may make the criterion NaN
    if (!is.null(tried) && isTRUE(value(tried) < value(best) - margin)) best <- tried
  }
  best
}

quietly <- function(expression) {
  said <- character()
  found <- withCallingHandlers(
    tryCatch(expression, error = function(e) { said <<- c(said, paste("Error:", conditionMessage(e))); NULL }),
    message = function(c) { said <<- c(said, trimws(conditionMessage(c))); invokeRestart("muffleMessage") },
    warning = function(c) { said <<- c(said, conditionMessage(c)); invokeRestart("muffleWarning") })
  list(value = found, said = as.list(said))
}

numbers <- function(m) {
  par <- getME(m, "par"); theta <- getME(m, "theta")
  lower <- getME(m, "lower")
  found <- estimates(m)
  found$theta <- I(unname(theta)); found$theta_names <- I(names(theta))
  found$par <- I(unname(par)); found$par_names <- I(names(par)); found$lower <- I(unname(lower))
  found$npar <- attr(logLik(m), "df")
  found
}

dir.create(file.path(suite, "golden"), showWarnings = FALSE)
for (block in read_toml(file.path(suite, "cases.toml"))) {
  case <- block$values
  if (length(arguments) && !case$name %in% arguments) next
  name <- sub("\\.csv$", "", basename(case$data))
  assign(name, load_data(case$data))
  REML <- !identical(case$REML, FALSE)
  call <- bquote(lmer(.(str2lang(case$formula)), data = .(as.name(name)), REML = .(REML)))
  fit <- quietly(eval(call))
  record <- list(name = case$name, formula = case$formula, REML = REML, made_by = stamp,
                 said = fit$said)
  m <- fit$value
  if (!is.null(m)) {
    for (which in c("default", "polished")) {
      found <- quietly(numbers(if (which == "polished") polish(m) else m))
      record[[which]] <- found$value
      if (is.null(found$value)) record$failed[[which]] <- found$said
    }
    record$text <- list(summary = quietly(capture.output(print(summary(m))))$value,
                        model = quietly(capture.output(print(m)))$value,
                        variances = quietly(capture.output(print(VarCorr(m))))$value)
  }
  writeLines(jsonlite::toJSON(record, auto_unbox = TRUE, digits = I(17), na = "string", null = "null"),
             file.path(suite, "golden", paste0(case$name, ".json")))
  cat(case$name, if (is.null(m)) "failed" else format(value(m), digits = 10),
      if (!is.null(record$polished)) format(record$polished$criterion, digits = 10),
      unlist(fit$said), "\n")
}
