# Makes SUITE/golden/*.json: what lme4 says of each case of SUITE/cases.toml and generalized.toml, by
# default and polished (restarted from its own answer with tight tolerances), and, for the linear models
# of the reference suite, its text.
# Usage: Rscript reference/golden.R SUITE DATASETS [FOLDER OF BOUNCE.CSV] [--into=FOLDER]  (lme4, jsonlite)
# for example: Rscript reference/golden.R reference datasets
# --only=PATTERN: of the cases whose names match it.
# --into: another folder than SUITE/golden, as for the values of another lme4 (golden_versions.py).
suppressMessages(library(lme4))
arguments <- commandArgs(TRUE)
into <- sub("^--into=", "", grep("^--into=", arguments, value = TRUE))
arguments <- grep("^--into=", arguments, value = TRUE, invert = TRUE)
only <- sub("^--only=", "", grep("^--only=", arguments, value = TRUE))
arguments <- grep("^--only=", arguments, value = TRUE, invert = TRUE)
suite <- arguments[1]
folders <- c(suite, arguments[-1])
whole <- file.exists(file.path(suite, "golden.R"))  # the reference suite keeps everything
options(contrasts = c("contr.treatment", "contr.poly"), width = 80)

# The part of TOML that these files use: tables and one-line values.
read_toml <- function(path) {
  blocks <- list(); current <- list(); header <- ""
  flush <- function() if (length(current)) {
    blocks[[length(blocks) + 1L]] <<- list(header = header, values = current)
  }
  for (line in readLines(path, encoding = "UTF-8")) {
    if (grepl("^\\s*(#|$)", line)) next
    if (grepl("^\\[", line)) {
      flush(); current <- list(); header <- gsub("^\\[+|\\]+$", "", line); next
    }
    key <- sub("\\s*=.*", "", line)
    # an inline table is no JSON; none of what is read here is one
    text <- sub("^[^=]*=\\s*", "", line)
    if (!startsWith(text, "{")) current[[key]] <- jsonlite::fromJSON(text)
  }
  flush()
  blocks
}

load_data <- function(name) {
  name <- sub("\\.csv$", "", name)
  paths <- file.path(folders, paste0(name, ".csv"))
  paths <- c(paths, paste0(paths, ".gz"))
  path <- paths[!is.na(paths) & file.exists(paths)][1]
  if (is.na(path)) return(NULL)
  sidecars <- file.path(folders, paste0(name, ".toml"))
  sidecar <- sidecars[file.exists(sidecars)][1]
  info <- if (is.na(sidecar)) list() else
    Filter(function(b) !is.null(b$values$levels), read_toml(sidecar))
  columns <- vapply(info, function(b) gsub('^columns\\.|"', "", b$header), "")
  d <- read.csv(path, colClasses = setNames(rep("character", length(columns)), columns),
                na.strings = "")
  for (i in seq_along(info)) {
    levels <- info[[i]]$values$levels
    values <- d[[columns[i]]]
    if (identical(levels, "numeric")) {
      levels <- unique(values); levels <- levels[order(as.numeric(levels))]
    } else if (identical(levels, "sorted")) {
      levels <- sort(unique(values[!is.na(values)]), method = "radix")
    }
    d[[columns[i]]] <- factor(values, levels, ordered = isTRUE(info[[i]]$values$ordered))
  }
  d
}

numbers <- function(m) {
  found <- estimates(m)
  if (whole && !isGLMM(m)) found$fitted <- unname(fitted(m))
  found
}

estimates <- function(m) {
  re <- as.data.frame(ranef(m, condVar = TRUE))
  vc <- as.data.frame(VarCorr(m))
  list(
    criterion = unname(if (isREML(m)) REMLcrit(m) else if (isGLMM(m)) -2 * as.numeric(logLik(m))
                       else deviance(m)),
    logLik = as.numeric(logLik(m)), AIC = AIC(m), BIC = BIC(m), df_residual = df.residual(m),
    nobs = nobs(m), theta = unname(getME(m, "theta")), sigma = sigma(m),
    names = names(fixef(m)), beta = unname(fixef(m)),
    std_error = unname(sqrt(diag(as.matrix(vcov(m))))),
    vcov = unname(as.matrix(vcov(m))),
    varcorr = list(grp = vc$grp, var1 = vc$var1, var2 = vc$var2, vcov = vc$vcov, sdcor = vc$sdcor),
    ranef = list(grpvar = as.character(re$grpvar), term = as.character(re$term),
                 grp = as.character(re$grp), condval = re$condval, condsd = re$condsd),
    singular = isSingular(m),
    groups = as.list(ngrps(m)),
    messages = as.character(unlist(m@optinfo$conv$lme4$messages))
  )
}

# A theta that gives every effect the size of the residuals, times `size`; lme4's own start does so
# only for columns of size 1.
start_of <- function(m, size) {
  scaled <- lapply(getME(m, "mmList"), function(X) {
    root <- sqrt(colMeans(as.matrix(X)^2))
    L <- diag(size / ifelse(root > 0, root, 1), nrow = length(root))
    L[lower.tri(L, diag = TRUE)]
  })
  unlist(unname(scaled))
}

# The best of nloptwrap and bobyqa, each started from the best point so far, tightly; first from
# where lme4 stopped, then from elsewhere, since that may have been another optimum.
polish <- function(m) {
  best <- m
  value <- function(m) -2 * as.numeric(logLik(m))
  for (start in c(rep(list(NULL), 3), lapply(c(1, 0.2, 0.04), start_of, m = m), list(NULL))) {
    for (control in list(
      lmerControl("nloptwrap", optCtrl = list(xtol_abs = 1e-12, ftol_abs = 1e-12, maxeval = 1e5),
                  calc.derivs = FALSE, check.conv.singular = "ignore"),
      lmerControl("bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE,
                  check.conv.singular = "ignore"))) {
      from <- if (is.null(start)) getME(best, "theta") else start
      tried <- tryCatch(suppressWarnings(suppressMessages(update(best, start = from, control = control))),
                        error = function(e) NULL)
      # another optimum only if it is one
      margin <- if (is.null(start)) 0 else 1e-6
      if (!is.null(tried) && value(tried) < value(best) - margin) best <- tried
    }
  }
  best
}

# Of a generalized model: theta and the fixed effects are searched together, and the inner iteration
# has a tolerance of its own.
polish_generalized <- function(m) {
  best <- m
  value <- function(m) -2 * as.numeric(logLik(m))
  tight <- glmerControl("bobyqa", optCtrl = list(rhoend = 1e-9, maxfun = 1e5), tolPwrss = 1e-13)
  for (size in list(NULL, 1, 0.2, NULL)) {
    theta <- if (is.null(size)) getME(best, "theta") else start_of(m, size)
    from <- list(theta = theta, fixef = fixef(best))
    if (getME(m, "devcomp")$dims[["nAGQ"]] == 0) from <- list(theta = theta)
    tried <- tryCatch(suppressWarnings(suppressMessages(update(best, start = from, control = tight))),
                      error = function(e) NULL)
    # the first of them is what that inner iteration gives, be it more
    if (!is.null(tried) && (identical(best, m) || value(tried) < value(best) - 1e-7)) best <- tried
  }
  best
}

stamp <- list(R = paste(R.version$major, R.version$minor, sep = "."),
              lme4 = as.character(packageVersion("lme4")),
              Matrix = as.character(packageVersion("Matrix")),
              nloptr = as.character(packageVersion("nloptr")),
              minqa = as.character(packageVersion("minqa")),
              BLAS = basename(extSoftVersion()[["BLAS"]]), LAPACK = La_version(),
              platform = R.version$platform)
folder <- if (length(into)) into else file.path(suite, "golden")
dir.create(folder, showWarnings = FALSE)
negative.binomial <- MASS::negative.binomial
files <- Filter(file.exists, file.path(suite, c("cases.toml", "generalized.toml")))
for (block in do.call(c, lapply(files, read_toml))) {
  case <- block$values
  if (length(only) && !grepl(only, case$name)) next
  name <- sub("\\.csv$", "", basename(case$data))
  assign(name, load_data(case$data))
  if (is.null(get(name))) { cat("no data for", case$name, "\n"); next }
  REML <- !identical(case$REML, FALSE)
  call <- bquote(lmer(.(str2lang(case$formula)), data = .(as.name(name)), REML = .(REML)))
  if (!is.null(case$family)) {
    call <- bquote(glmer(.(str2lang(case$formula)), data = .(as.name(name)),
                         family = .(str2lang(case$family)), nAGQ = .(if (is.null(case$nAGQ)) 1L else case$nAGQ)))
    if (!is.null(case$weights)) call$weights <- str2lang(case$weights)
    REML <- FALSE
  }
  error <- NULL
  said <- character()
  m <- withCallingHandlers(
    tryCatch(eval(call), error = function(e) { error <<- conditionMessage(e); NULL }),
    message = function(c) { said <<- c(said, trimws(conditionMessage(c))); invokeRestart("muffleMessage") },
    warning = function(c) { said <<- c(said, conditionMessage(c)); invokeRestart("muffleWarning") })
  record <- list(name = case$name, formula = case$formula, REML = REML)
  if (!is.null(case$family)) {
    record <- c(record, list(family = case$family, nAGQ = if (is.null(case$nAGQ)) 1L else case$nAGQ))
  }
  record$made_by <- stamp
  if (is.null(m)) {
    record$error <- error
  } else {
    record$said <- as.list(said)
    record$default <- numbers(m)
    record$polished <- numbers(if (isGLMM(m)) polish_generalized(m) else polish(m))
    if (whole && !isGLMM(m)) record$text <- list(summary = capture.output(print(summary(m))),
                        model = capture.output(print(m)),
                        variances = capture.output(print(VarCorr(m))))
  }
  writeLines(jsonlite::toJSON(record, auto_unbox = TRUE, digits = I(17), na = "string",
                              null = "null"),
             file.path(folder, paste0(case$name, ".json")))
  cat(case$name, "\n")
}
