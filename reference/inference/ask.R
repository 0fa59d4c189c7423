# Answers questions about models in one R process: what the tests that compare with R as it is here
# ask (tests/live.py).
# Usage: Rscript ask.R QUESTIONS.json ANSWERS.json
# A case has data (columns), levels (per factor: levels, ordered), fit (a statement that makes m) and
# questions (R expressions by name). An answer is a failure, or a value, what R said, the printed
# text, and of an anova table its hypotheses.
suppressMessages({library(jsonlite); library(lmerTest); library(splines)})
options(contrasts = c("contr.treatment", "contr.poly"), width = 80)
arguments <- commandArgs(TRUE)
cases <- fromJSON(arguments[1], simplifyVector = FALSE)

vector_of <- function(v) { v[vapply(v, is.null, TRUE)] <- NA; unlist(v) }
plain <- function(x) {
  if (is.null(x)) return(NULL)
  if (is.matrix(x)) {
    return(list(rows = as.list(rownames(x)), columns = as.list(colnames(x)),
                values = lapply(seq_len(nrow(x)), function(i) as.list(unname(x[i, ])))))
  }
  if (is.data.frame(x)) {
    return(list(rows = as.list(rownames(x)), columns = as.list(colnames(x)),
                values = lapply(seq_len(nrow(x)), function(i) lapply(unname(as.list(x)), `[`, i))))
  }
  if (isS4(x) || is.function(x) || is.environment(x)) return(NULL)
  if (is.list(x)) return(lapply(x, plain))
  if (is.numeric(x)) return(list(names = as.list(names(x)), values = as.list(unname(x))))
  as.list(x)
}

answer <- function(code, environment) {
  said <- character()
  value <- withCallingHandlers(
    tryCatch(list(eval(str2lang(code), environment)), error = conditionMessage),
    warning = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleWarning") },
    message = function(m) { said <<- c(said, conditionMessage(m)); invokeRestart("muffleMessage") })
  if (is.character(value)) return(list(failure = value, said = as.list(said)))
  x <- value[[1]]
  shown <- if (inherits(x, "anova")) capture.output(suppressMessages(print(x)))
  list(said = as.list(said), text = as.list(shown), hypotheses = plain(attr(x, "hypotheses")),
       value = plain(if (inherits(x, "anova")) as.data.frame(x) else x))
}

answers <- list()
for (case in cases) {
  d <- as.data.frame(lapply(case$data, vector_of), check.names = FALSE)
  for (name in names(case$levels)) {
    how <- case$levels[[name]]
    d[[name]] <- factor(d[[name]], levels = unlist(how$levels), ordered = how$ordered)
  }
  environment <- new.env(parent = globalenv())
  environment$d <- d
  fit <- answer(paste0("{", case$fit, "; NULL}"), environment)
  found <- list(fit = fit)
  if (is.null(fit$failure)) {
    found <- c(found, lapply(case$questions, answer, environment))
  }
  answers[[case$name]] <- found
}
write(toJSON(answers, auto_unbox = TRUE, digits = I(15), null = "null", na = "string"), arguments[2])
