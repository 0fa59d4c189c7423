# Makes structured.json: what lme4 2.x comes to on the models of structured.txt, polished by tight
# tolerances. Usage: Rscript --vanilla tests/stored/structured.R   (from the root; lme4 >= 2.0)
# A line of structured.txt is "name ~~ data ~~ formula ~~ further arguments of lmer()"; the data are
# structured.csv ("made"), or a data set of the package.
suppressMessages(library(lme4))
stopifnot(packageVersion("lme4") >= "2.0")
options(contrasts = c("contr.treatment", "contr.poly"), width = 80)
lines <- readLines("tests/stored/structured.txt")
lines <- lines[nzchar(lines) & !startsWith(lines, "#")]
read <- function(name) {
  path <- if (name == "made") "tests/stored/structured.csv" else sprintf("datasets/%s.csv", name)
  d <- read.csv(path, stringsAsFactors = TRUE)
  if (name == "sleepstudy") {
    d$Subject <- factor(d$Subject)
    d$f <- factor(d$Days %/% 3)
  }
  if (name == "Machines") d$Worker <- factor(d$Worker, c(6, 2, 4, 1, 3, 5))
  if (name == "cake") d$replicate <- factor(d$replicate)
  d
}
polish <- lmerControl(optimizer = "nloptwrap", calc.derivs = FALSE,
                      optCtrl = list(xtol_abs = 1e-12, xtol_rel = 0, ftol_abs = 1e-13,
                                     ftol_rel = 0, maxeval = 20000))
quoted <- function(x) encodeString(x, quote = '"')
json <- function(x) {
  if (is.null(x)) return("null")
  if (is.list(x)) {
    parts <- vapply(x, json, "")
    return(paste0("{", paste0(quoted(names(x)), ": ", parts, collapse = ", "), "}"))
  }
  if (is.character(x)) parts <- quoted(x) else if (is.logical(x)) parts <- tolower(x) else {
    parts <- ifelse(is.nan(x), '"NaN"', ifelse(is.na(x), "null",
                    ifelse(is.infinite(x), ifelse(x > 0, '"Infinity"', '"-Infinity"'),
                           format(x, digits = 15, trim = TRUE))))
    parts <- vapply(seq_along(x), function(i) if (is.finite(x[i])) format(x[i], digits = 15) else parts[i], "")
  }
  paste0("[", paste(parts, collapse = ", "), "]")
}
found <- list()
for (line in lines) {
  parts <- trimws(strsplit(line, " ~~ ", fixed = TRUE)[[1]])
  d <- read(parts[2])
  call <- str2lang(sprintf("lmer(%s, d%s)", parts[3],
                           if (length(parts) > 3) paste0(", ", parts[4]) else ""))
  call$control <- quote(polish)
  m <- suppressMessages(suppressWarnings(eval(call)))
  # a second start, for a criterion with two optima
  for (rho in c(0.6, -0.3)) {
    start <- getME(m, "par")
    start[getME(m, "lower") == 0] <- 1
    turned <- grepl("[.]rho$", names(start))
    start[turned] <- pmax(rho, 0.6 * getME(m, "lower")[turned])
    call$start <- unname(start)
    other <- try(suppressMessages(suppressWarnings(eval(call))), silent = TRUE)
    if (!inherits(other, "try-error") && isTRUE(deviance(other, REML = isREML(other)) <
                                                deviance(m, REML = isREML(m)) - 1e-7)) m <- other
  }
  table <- as.data.frame(VarCorr(m))
  log_likelihood <- logLik(m)
  summary_text <- capture.output(print(summary(m), correlation = FALSE))
  block <- summary_text[seq(match("Random effects:", summary_text) + 1,
                            grep("^Number of obs", summary_text) - 1)]
  conditional <- try(as.data.frame(ranef(m)), silent = TRUE)
  found[[parts[1]]] <- list(
    criterion = if (isREML(m)) REMLcrit(m) else deviance(m),
    par = unname(getME(m, "par")), par_names = names(getME(m, "par")),
    theta = unname(getME(m, "theta")), theta_names = names(getME(m, "theta")),
    lower = unname(getME(m, "lower")), npar = getME(m, "npar"),
    Lind = head(getME(m, "Lind"), 40),
    beta = unname(fixef(m)), vcov = as.vector(as.matrix(vcov(m))), sigma = sigma(m),
    grp = table$grp, var1 = ifelse(is.na(table$var1), "", table$var1),
    var2 = ifelse(is.na(table$var2), "", table$var2), vc = table$vcov, sdcor = table$sdcor,
    AIC = AIC(m), BIC = BIC(m), df = attr(log_likelihood, "df"), df_residual = df.residual(m),
    singular = isSingular(m),
    condval = if (!inherits(conditional, "try-error")) head(conditional$condval, 12),
    condsd = if (!inherits(conditional, "try-error")) head(conditional$condsd, 12),
    summary = block, VarCorr = capture.output(print(VarCorr(m))),
    formula = paste(deparse(formula(m), width.cutoff = 500), collapse = ""))
}
version <- sprintf('"lme4 %s, R %s"', packageVersion("lme4"), getRversion())
models <- paste0("  ", quoted(names(found)), ": ", vapply(found, json, ""), collapse = ",\n")
writeLines(c("{", paste0(' "by": ', version, ","), ' "models": {', models, " }", "}"),
           "tests/stored/structured.json")
