# What R is asked to do, in one file; every transport runs this and nothing else.
# Functions named here are called by name with named arguments; each returns a plain list of
# vectors, matrices, strings and NULL. Nothing is printed, nothing is left in the global
# environment, and the caller's options, random seed and working directory stay as they were.

# Run one of the functions below and return what happened as data.
run <- function(name, arguments) {
  kept <- options(contrasts = c(unordered = "contr.treatment", ordered = "contr.poly"),
                  digits = 7, scipen = 0, OutDec = ".", warn = 0, width = 80,
                  na.action = "na.omit")
  on.exit(options(kept), add = TRUE)
  directory <- getwd()
  on.exit(if (!is.null(directory)) setwd(directory), add = TRUE)
  seed <- get0(".Random.seed", envir = globalenv(), inherits = FALSE)
  on.exit(if (is.null(seed)) {
    suppressWarnings(rm(".Random.seed", envir = globalenv()))
  } else {
    assign(".Random.seed", seed, envir = globalenv())
  }, add = TRUE)

  said <- list()
  note <- function(kind, condition) {
    said[[length(said) + 1L]] <<- list(kind = kind, text = conditionMessage(condition))
  }
  failure <- NULL
  value <- NULL
  output <- utils::capture.output(
    value <- withCallingHandlers(
      tryCatch(do.call(get(name, envir = functions), arguments, quote = TRUE),
               error = function(e) {
                 failure <<- list(text = conditionMessage(e),
                                  call = paste(deparse(conditionCall(e), nlines = 1L),
                                               collapse = ""))
                 NULL
               }),
      warning = function(w) { note("warning", w); invokeRestart("muffleWarning") },
      message = function(m) { note("message", m); invokeRestart("muffleMessage") }
    )
  )
  list(value = value, failure = failure, said = said, output = output)
}

# Where R looks for packages, whether there is such a folder or not.
searched_libraries <- function() {
  named <- Sys.getenv(c("R_LIBS", "R_LIBS_USER", "R_LIBS_SITE"))
  found <- unlist(strsplit(named, .Platform$path.sep, fixed = TRUE), use.names = FALSE)
  path.expand(found[nzchar(found)])
}

# Versions of everything that can move a number, and where R has it from.
versions <- function() {
  installed <- function(package) {
    tryCatch(as.character(utils::packageVersion(package)), error = function(e) NULL)
  }
  packages <- c("lme4", "Matrix", "minqa", "nloptr", "lmerTest", "pbkrtest", "emmeans",
                "nlme", "glmmTMB")
  list(R = paste(R.version$major, R.version$minor, sep = "."),
       platform = R.version$platform,
       BLAS = unname(extSoftVersion()["BLAS"]),
       LAPACK = La_version(),
       home = R.home(),
       files = unname(c(extSoftVersion()["BLAS"], La_library())),
       libraries = unique(c(.libPaths(), searched_libraries())),
       packages = Filter(Negate(is.null), sapply(packages, installed, simplify = FALSE)))
}

# The arguments as R holds them, byte by byte: what a transport made of what was sent.
bytes_of <- function(...) paste(serialize(list(...), NULL, xdr = TRUE), collapse = "")

# Names that a formula may use beyond base and stats.
formula_environment <- function() {
  stats <- if ("package:stats" %in% search()) as.environment("package:stats") else
    asNamespace("stats")
  environment <- new.env(parent = stats)
  environment$bs <- splines::bs
  environment$ns <- splines::ns
  if (requireNamespace("lme4", quietly = TRUE)) environment$dummy <- lme4::dummy
  environment
}

# Dates and times come as their numbers with R's class.
as_column <- function(column) {
  if (!is.list(column)) return(column)
  structure(as.double(column$values), class = unlist(column$class), units = column$units,
            tzone = column$tzone)
}

as_frame <- function(columns, rows) {
  columns <- lapply(columns, as_column)
  structure(columns, class = "data.frame", row.names = .set_row_names(rows))
}

# model.matrix() of a one-sided formula, for the comparison of model matrices.
design_matrix <- function(formula, columns, rows) {
  environment <- formula_environment()
  X <- stats::model.matrix(stats::as.formula(str2lang(formula), env = environment),
                           as_frame(columns, rows))
  list(names = colnames(X), values = unname(X[, , drop = FALSE]), assign = attr(X, "assign"))
}

# Fit with lmer() and return all of its own numbers.
fit <- function(...) {
  began <- proc.time()[["elapsed"]]
  m <- fitted_model(...)
  seconds <- proc.time()[["elapsed"]] - began
  # seconds: lmer() alone; seconds_in_all: with the extraction of everything below
  c(describe(m), seconds = seconds,
    seconds_in_all = proc.time()[["elapsed"]] - began)
}

# R's family of its name, its link, and a negative binomial's theta.
as_family <- function(family) {
  if (!is.null(family$theta)) {
    return(do.call(MASS::negative.binomial, list(theta = family$theta, link = family$link)))
  }
  do.call(get(family$name, envir = asNamespace("stats")), list(link = family$link))
}

# The fit itself, as R's object.
fitted_model <- function(formula, columns, rows, REML, weights = NULL, offset = NULL,
                         subset = NULL, na_action = "omit", contrasts = NULL, start = NULL,
                         control = NULL, family = NULL, nAGQ = 1,
                         size_estimated = FALSE) {
  environment <- formula_environment()
  environment$.data <- as_frame(columns, rows)
  call <- list(if (is.null(family)) quote(lme4::lmer) else if (size_estimated)
                 quote(lme4::glmer.nb) else quote(lme4::glmer),
               formula = stats::as.formula(str2lang(formula), env = environment),
               data = quote(.data), na.action = as.name(paste0("na.", na_action)))
  if (is.null(family)) call$REML <- REML else call$nAGQ <- as.integer(nAGQ)
  give <- function(name, value) {
    if (!is.null(value)) {
      symbol <- paste0(".", name)
      assign(symbol, value, envir = environment)
      call[[name]] <<- as.name(symbol)
    }
  }
  give("weights", weights)
  give("offset", offset)
  give("subset", subset)
  give("contrasts", contrasts)
  give("start", start)
  give("family", if (!is.null(family) && !size_estimated) as_family(family))
  give("control", do.call(if (is.null(family)) lme4::lmerControl else lme4::glmerControl,
                          as.list(control)))
  eval(as.call(call), environment)
}

# The same for those who want the object; what R says of the fit is in the result.
fitted_object <- function(...) suppressMessages(suppressWarnings(fitted_model(...)))

# The conditional variances of the random effects, term by term, of the model at a theta that a fit
# has found: the same numbers as that fit's own.
conditional_variances <- function(theta, control, ...) {
  control$optimizer <- control$optCtrl <- NULL
  m <- fitted_object(..., start = theta, control = c(control, list(optimizer = NULL)))
  list(sigma = stats::sigma(m), terms = conditional_variances_of(m))
}

# Those of a fitted model, term by term.
conditional_variances_of <- function(m) {
  variances <- lapply(lme4::ranef(m, condVar = TRUE), attr, "postVar")
  flist <- lme4::getME(m, "flist")
  of_term <- attr(flist, "assign")
  lapply(seq_along(of_term), function(i) {
    of_factor <- variances[[names(flist)[of_term[i]]]]
    if (is.list(of_factor)) of_factor <- of_factor[[sum(of_term[seq_len(i)] == of_term[i])]]
    as.vector(of_factor)
  })
}

# Whether lme4, which knows them from 2.0 on, fitted another covariance matrix than unstructured ones.
structured <- function(m) {
  if (!"getReCovs" %in% getNamespaceExports("lme4")) return(FALSE)
  !all(vapply(lme4::getReCovs(m), class, "") == "Covariance.us")
}

describe <- function(m) {
  get <- function(name) lme4::getME(m, name)
  cnms <- get("cnms")
  Gp <- get("Gp")
  b <- get("b")
  flist <- get("flist")
  of_term <- attr(flist, "assign")
  vc <- lme4::VarCorr(m)
  table <- as.data.frame(vc)
  terms <- vector("list", length(cnms))
  generalized <- lme4::isGLMM(m)
  variances <- if (generalized) conditional_variances_of(m)
  for (i in seq_along(cnms)) {
    factor <- names(flist)[of_term[i]]
    size <- length(cnms[[i]])
    covariance <- vc[[i]]
    terms[[i]] <- list(
      group = factor,
      label = names(vc)[i],
      names = cnms[[i]],
      levels = levels(flist[[of_term[i]]]),
      modes = unname(t(matrix(b[(Gp[i] + 1L):Gp[i + 1L]], nrow = size))),
      covariance = unname(matrix(as.vector(covariance), size)),
      deviations = unname(attr(covariance, "stddev")),
      correlation = unname(matrix(as.vector(attr(covariance, "correlation")), size)),
      variances = variances[[i]]
    )
  }
  info <- m@optinfo
  components <- get("devcomp")$cmp
  if (!get("p")) components[["ldRX2"]] <- 0  # lme4 leaves there what was in memory
  REML <- lme4::isREML(m)
  log_likelihood <- stats::logLik(m)
  theta <- unname(get("theta"))
  par <- NULL
  if (structured(m)) {  # theta leaves out elements of Lambda that are 0 or another's
    par <- unname(get("par"))
    # of Lambda itself: "Tlist" is NaN where a variance is 0, and for cs() of one column it is the
    # term's before
    Lambda <- get("Lambda")
    theta <- unlist(lapply(seq_along(cnms), function(i) {
      rows <- get("Gp")[i] + seq_along(cnms[[i]])
      T <- as.matrix(Lambda[rows, rows, drop = FALSE])
      T[lower.tri(T, diag = TRUE)]
    }))
  }
  list(
    REML = REML,
    beta = unname(get("beta")),
    names = names(lme4::fixef(m)),
    vcov = if (get("p") > 0L) unname(as.matrix(stats::vcov(m))),
    theta = theta,
    par = par,
    sigma = stats::sigma(m),
    terms = terms,
    fitted = unname(stats::fitted(m))[!is.na(stats::fitted(m))],
    residuals = {
      response <- stats::residuals(m, type = "response")
      unname(response[!is.na(response)])
    },
    criterion = unname(if (REML) components[["REML"]] else if (generalized) {
      -2 * as.numeric(log_likelihood)
    } else {
      components[["dev"]]
    }),
    components = as.list(components[c("ldL2", "ldRX2", "wrss", "ussq", "pwrss")]),
    logLik = as.numeric(log_likelihood),
    parameters = attr(log_likelihood, "df"),
    AIC = stats::AIC(m),
    BIC = stats::BIC(m),
    df_residual = stats::df.residual(m),
    nobs = stats::nobs(m),
    singular = lme4::isSingular(m),
    optimizer = info$optimizer,
    code = info$conv$opt,
    optimizer_message = info$message,
    optimizer_warnings = as.character(unlist(info$warnings)),
    lme4_messages = as.character(unlist(info$conv$lme4$messages)),
    evaluations = info$feval,
    gradient = info$derivs$gradient,
    hessian = info$derivs$Hessian,
    shape = if (generalized && startsWith(stats::family(m)$family, "Negative Binomial"))
      get("glmer.nb.theta")
  )
}

# R's own text, for tests and for comparison. `extra` holds further arguments of the call as code.
fit_text <- function(formula, columns, rows, REML = TRUE, name = "data", extra = NULL,
                     generalized = FALSE) {
  environment <- formula_environment()
  assign(name, as_frame(columns, rows), envir = environment)
  call <- list(if (generalized) quote(glmer) else quote(lmer), formula = str2lang(formula),
               data = as.name(name))
  if (!generalized) call$REML <- REML
  for (argument in names(extra)) call[[argument]] <- str2lang(extra[[argument]])
  environment$lmer <- lme4::lmer
  environment$glmer <- lme4::glmer
  environment$lmerControl <- lme4::lmerControl
  m <- eval(as.call(call), environment)
  list(summary = utils::capture.output(print(summary(m))),
       model = utils::capture.output(print(m)),
       variances = utils::capture.output(print(lme4::VarCorr(m))),
       full = utils::capture.output(print(summary(m), correlation = TRUE)))
}

# Rivals, for comparison: the model matrices go as they are, so that all fit the same model.
# X: matrix (n, p); Z: list of matrices (n, k), one per term; groups: list of integer codes.
matrix_data <- function(y, X, p, Z, sizes, groups) {
  d <- list(.y = y, .X = matrix(X, ncol = p))
  for (i in seq_along(Z)) {
    d[[paste0(".Z", i)]] <- matrix(Z[[i]], ncol = sizes[[i]])
    d[[paste0(".g", i)]] <- factor(groups[[i]])
  }
  d
}

# nlme::lme with one term, or with nested factors; terms come with the innermost factor first.
fit_nlme <- function(y, X, p, Z, sizes, groups, REML, weights = NULL) {
  environment <- formula_environment()
  d <- as.data.frame(matrix_data(y, X, p, Z, sizes, groups)[-2])
  d$.X <- matrix(X, ncol = p)
  d$.w <- if (!is.null(weights)) 1 / weights
  random <- list()
  for (i in rev(seq_along(Z))) {
    columns <- if (sizes[[i]] == 1L) paste0(".Z", i) else paste0(".Z", i, ".", seq_len(sizes[[i]]))
    random[[paste0(".g", i)]] <- nlme::pdLogChol(stats::as.formula(
      paste("~ 0 +", paste(columns, collapse = " + ")), env = environment))
  }
  call <- list(quote(nlme::lme), stats::as.formula(".y ~ 0 + .X", env = environment),
               data = quote(d), random = random,
               method = if (REML) "REML" else "ML")
  if (!is.null(weights)) call$weights <- nlme::varFixed(~ .w)
  environment$d <- d
  began <- proc.time()[["elapsed"]]
  m <- eval(as.call(call), environment)
  seconds <- proc.time()[["elapsed"]] - began
  effects <- nlme::ranef(m)
  if (length(Z) == 1L) effects <- list(effects)
  effects <- rev(unname(effects))
  covariances <- lapply(m$modelStruct$reStruct, function(s) as.matrix(s) * m$sigma^2)
  # the levels of an inner factor are called outer/inner
  modes <- lapply(seq_along(Z), function(i) {
    inner <- sub(".*/", "", rownames(effects[[i]]))
    unname(as.matrix(effects[[i]])[match(levels(d[[paste0(".g", i)]]), inner), , drop = FALSE])
  })
  list(beta = unname(nlme::fixef(m)), vcov = unname(as.matrix(stats::vcov(m))),
       sigma = m$sigma,
       covariances = lapply(unname(covariances), unname),
       modes = modes, fitted = unname(stats::fitted(m)), logLik = as.numeric(stats::logLik(m)),
       AIC = stats::AIC(m), BIC = stats::BIC(m), df_residual = 0, converged = TRUE, message = "",
       seconds = seconds, version = as.character(utils::packageVersion("nlme")))
}

# glmmTMB::glmmTMB with any terms.
fit_glmmtmb <- function(y, X, p, Z, sizes, groups, REML, weights = NULL, offset = NULL,
                        family = NULL) {
  environment <- formula_environment()
  d <- matrix_data(y, X, p, Z, sizes, groups)
  d$.w <- weights
  d$.o <- offset
  environment$d <- d
  terms <- vapply(seq_along(Z), function(i)
    sprintf("%s(0 + .Z%d | .g%d)", if (sizes[[i]] == 1L) "" else "us", i, i), "")
  formula <- stats::as.formula(paste(".y ~ 0 + .X +", paste(terms, collapse = " + ")),
                               env = environment)
  call <- list(quote(glmmTMB::glmmTMB), formula = formula, data = quote(d), REML = REML)
  if (!is.null(weights)) call$weights <- quote(.w)
  if (!is.null(offset)) call$offset <- quote(.o)
  if (!is.null(family)) call$family <- as_family(family)
  began <- proc.time()[["elapsed"]]
  m <- eval(as.call(call), environment)
  seconds <- proc.time()[["elapsed"]] - began
  vc <- glmmTMB::VarCorr(m)$cond
  effects <- glmmTMB::ranef(m)$cond
  list(beta = unname(glmmTMB::fixef(m)$cond), vcov = unname(as.matrix(stats::vcov(m)$cond)),
       sigma = glmmTMB::sigma(m),
       covariances = lapply(unname(vc), function(v) unname(matrix(as.vector(v), nrow(v)))),
       modes = lapply(seq_along(Z), function(i) {
         own <- effects[[paste0(".g", i)]]
         unname(as.matrix(own)[match(levels(d[[paste0(".g", i)]]), rownames(own)), , drop = FALSE])
       }),
       fitted = unname(stats::fitted(m)), logLik = as.numeric(stats::logLik(m)),
       AIC = stats::AIC(m), BIC = stats::BIC(m), df_residual = stats::df.residual(m),
       converged = isTRUE(m$fit$convergence == 0), message = as.character(m$fit$message),
       seconds = seconds, version = as.character(utils::packageVersion("glmmTMB")))
}
