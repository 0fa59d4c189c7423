# How a question is put to R and its answer kept: the value with its names, the text that R prints, and
# what it says in messages and warnings.

plain <- function(x) {
  if (is.null(x)) return(NULL)
  if (is.language(x) || is.function(x)) return(paste(deparse(x), collapse = " "))
  if (inherits(x, "emmGrid")) x <- as.data.frame(summary(x))
  if (is.matrix(x) || inherits(x, "Matrix")) x <- as.data.frame(as.matrix(x))
  if (is.data.frame(x)) {
    columns <- lapply(x, function(v) if (is.factor(v)) as.character(v) else unname(v))
    return(list(rows = as.list(rownames(x)), columns = as.list(colnames(x)),
                values = unname(lapply(columns, as.list))))
  }
  if (isS4(x)) return(NULL)
  if (is.list(x)) return(lapply(x, plain))
  if (is.factor(x)) return(as.list(as.character(x)))
  if (is.numeric(x)) list(names = as.list(names(x)), values = as.list(unname(x))) else as.list(x)
}

answer <- function(code, environment, text = FALSE) {
  began <- proc.time()[["elapsed"]]
  said <- character()
  value <- withCallingHandlers(
    tryCatch(eval(str2lang(code), environment),
             error = function(e) structure(list(conditionMessage(e)), class = "failure")),
    warning = function(w) { said <<- c(said, conditionMessage(w)); invokeRestart("muffleWarning") },
    message = function(m) { said <<- c(said, conditionMessage(m)); invokeRestart("muffleMessage") })
  if (inherits(value, "failure")) return(list(code = code, failure = value[[1]]))
  # what is computed only when it is shown can fail too
  tryCatch({
    lines <- if (text) capture.output(suppressMessages(print(value)))
    list(code = code, text = if (text) as.list(lines), value = plain(unclass_summary(value)),
         said = as.list(said))
  }, error = function(e) list(code = code, failure = conditionMessage(e)))
}
unclass_summary <- function(x) {
  if (inherits(x, "summary.merMod")) return(x$coefficients)
  if (inherits(x, "KRmodcomp")) return(x$test)
  if (inherits(x, "PBmodcomp")) return(x$test)
  if (inherits(x, "SATmodcomp")) return(x$test)
  if (inherits(x, "thpr")) return(as.data.frame(x))
  if (inherits(x, "ranova") || inherits(x, "anova")) return(as.data.frame(x))
  if (inherits(x, "ranef.mer")) return(as.data.frame(x))
  x
}
