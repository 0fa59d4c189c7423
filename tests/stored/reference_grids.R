# Makes the answers in reference_grids.json and reference_scales.json: what emmeans prints and says for
# each question, and the theta that lme4 ended at. A question is R's code and ours; the data are in the
# CSV of the same name. Usage: Rscript --vanilla tests/stored/reference_grids.R    (from the root)
suppressMessages({library(lme4); library(emmeans); library(jsonlite)})
options(width = 9999, contrasts = c("contr.treatment", "contr.poly"))
for (name in c("reference_grids", "reference_scales")) {
  file <- paste0("tests/stored/", name, ".json")
  stored <- fromJSON(file, simplifyVector = FALSE)
  d <- read.csv(paste0("tests/stored/", name, ".csv"), stringsAsFactors = TRUE)
  d$g <- factor(d$g)
  d$o <- factor(d$o, c("lo", "mid", "hi"), ordered = TRUE)
  stored$models <- lapply(stored$models, function(model) {
    here <- new.env(parent = globalenv())
    call <- sprintf("lme4::lmer(%s, d, REML = %s%s%s)", model$formula, model$REML,
                    if (is.null(model$weights)) "" else paste0(", weights = ", model$weights),
                    if (is.null(model$offset)) "" else paste0(", offset = ", model$offset))
    here$m <- suppressWarnings(suppressMessages(eval(str2lang(call), here)))
    model$theta <- as.list(unname(getME(here$m, "theta")))
    model$questions <- lapply(model$questions, function(question) {
      said <- character()
      question$text <- as.list(withCallingHandlers(
        capture.output({
          value <- eval(str2lang(question$R), here)
          if (!is.null(value)) print(value)
        }),
        message = function(m) {
          said <<- c(said, sub("\n$", "", conditionMessage(m)))
          invokeRestart("muffleMessage")
        }))
      question$said <- as.list(said)
      question
    })
    model
  })
  versions <- sapply(c("lme4", "emmeans"), function(p) as.character(packageVersion(p)))
  stored$made_by <- as.list(c(R = paste(R.version$major, R.version$minor, sep = "."), versions))
  write(toJSON(stored, auto_unbox = TRUE, digits = I(15), null = "null", pretty = 0), file)
}
