# Answers the questions of a file of models: Rscript ask.R SPECS.json ANSWERS.json
# Each model is fitted by lmerTest (m) and lme4 (m4); each question is an R expression.
suppressMessages({library(lme4); library(lmerTest); library(pbkrtest); library(emmeans)})
options(width = 80)
given <- commandArgs(TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "..", "..", "reference", "inference", "answer.R"))
specs <- jsonlite::fromJSON(given[1], simplifyVector = FALSE)

column <- function(spec) {
  values <- unlist(lapply(spec$values, function(v) if (is.null(v)) NA else v))
  if (spec$kind == "factor") factor(values, unlist(spec$levels), ordered = isTRUE(spec$ordered))
  else if (spec$kind == "logical") as.logical(values)
  else if (spec$kind == "integer") as.integer(values)
  else as.numeric(values)
}

answers <- lapply(specs, function(spec) {
  environment <- globalenv()  # where some functions look for the data of a model
  rm(list = intersect(c("m0"), ls(environment)), envir = environment)
  d <- as.data.frame(lapply(spec$columns, column))
  environment$d <- d
  environment$new <- as.data.frame(lapply(spec$new, column))
  said <- character()
  made <- withCallingHandlers(tryCatch({
    environment$m <- eval(str2lang(paste0("lmerTest::", spec$call)), environment)
    environment$m4 <- eval(str2lang(paste0("lme4::", spec$call)), environment)
    for (name in names(spec$others))
      environment[[name]] <- eval(str2lang(spec$others[[name]]), environment)
    NULL
  }, error = function(e) conditionMessage(e)),
  warning = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleWarning") },
  message = function(m) { said <<- c(said, conditionMessage(m)); invokeRestart("muffleMessage") })
  if (!is.null(made)) return(list(failure = made))
  thetas <- lapply(c("m", names(spec$others)), function(name)
    if (inherits(environment[[name]], "merMod")) as.list(unname(getME(environment[[name]], "theta"))))
  names(thetas) <- c("m", names(spec$others))
  list(theta = thetas, said = as.list(said),
       answers = lapply(spec$questions, function(code) answer(code, environment, TRUE)))
})
write(jsonlite::toJSON(answers, auto_unbox = TRUE, digits = I(15), null = "null", na = "string"),
      given[2])
