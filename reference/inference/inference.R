# Makes golden/*.json: what R says after the fit of each model of models.toml, by lme4, lmerTest,
# pbkrtest, emmeans, performance and car.
# Usage: Rscript reference/inference/inference.R [CASE ...]      (from the root of the project)
# LMERBRIDGE_MODELS names another file of models, whose data and answers are then in its folder, as
# the tests do for models that are made anew; LMERBRIDGE_QUESTIONS says which of the questions are
# asked, by a regular expression.
# where the package is not installed, its questions are answered by a failure
suppressMessages({library(lme4); library(lmerTest); library(emmeans)})
options(contrasts = c("contr.treatment", "contr.poly"), width = 80)
emm_options(lmerTest.limit = 1e5, pbkrtest.limit = 1e5)
arguments <- commandArgs(TRUE)
models <- Sys.getenv("LMERBRIDGE_MODELS", "reference/inference/models.toml")
questions <- Sys.getenv("LMERBRIDGE_QUESTIONS", ".*")
folders <- c("datasets", "reference/further/data", dirname(models))
# read_toml() and load_data() are those of golden.R, one folder up
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source_lines <- readLines(file.path(here, "..", "golden.R"))
from <- grep("^read_toml", source_lines); to <- grep("^numbers <- ", source_lines) - 1
eval(parse(text = source_lines[from:to]))

# Two factors with very unequal cells, and random effects of one of them.
made <- "reference/inference/unbalanced.csv"
if (!file.exists(made)) {
  set.seed(20)
  n <- 400
  d <- data.frame(a = sample(c("p", "p", "q", "r", "s"), n, TRUE),
                  b = sample(c("u", "v", "v", "w"), n, TRUE), g = sample(1:25, n, TRUE),
                  x = round(rnorm(n), 3))
  d$y <- round(rnorm(25)[d$g] + (d$b == "v") * rnorm(25)[d$g] + 0.3 * d$x * (d$a == "q") +
                 rnorm(n), 4)
  write.csv(d, made, row.names = FALSE)
  empty <- (d$a == "s" & d$b == "w") | (d$a == "p" & d$b == "u")
  write.csv(d[!empty, ], "reference/inference/empty.csv", row.names = FALSE)
}

source(file.path(here, "answer.R"))

for (block in read_toml(models)) {
  case <- block$values
  if (length(arguments) && !case$name %in% arguments) next
  cat(case$name, "")
  environment <- new.env(parent = globalenv())
  d <- load_data(case$data)
  case$data <- sub(".*-", "", case$data)
  d$w <- rep_len(c(1, 2, 0.5), nrow(d))
  assign(case$data, d, envir = environment)
  environment$d <- d
  REML <- !identical(case$REML, FALSE)
  call <- sprintf("lmer(%s, %s%s%s)", case$formula, case$data,
                  if (REML) "" else ", REML = FALSE",
                  if (is.null(case$weights)) "" else sprintf(", weights = %s", case$weights))
  environment$m <- eval(str2lang(paste0("lmerTest::", call)), environment)
  environment$m4 <- eval(str2lang(paste0("lme4::", call)), environment)
  queries <- list(
    theta = list("getME(m4, \"theta\")", FALSE),
    summary_satterthwaite = list("summary(m)", TRUE),
    summary_lme4 = list("summary(m, ddf = \"lme4\")", TRUE),
    anova_3 = list("anova(m)", TRUE),
    anova_2 = list("anova(m, type = 2)", TRUE),
    anova_1 = list("anova(m, type = 1)", TRUE),
    anova_lme4 = list("anova(m4)", TRUE),
    drop1 = list("drop1(m)", TRUE),
    drop1_lme4 = list("drop1(m4, test = \"Chisq\")", TRUE),
    ranova = list("ranova(m)", TRUE),
    confint_wald = list("confint(m4, method = \"Wald\")", TRUE),
    fitted_marginal = list("predict(m4, re.form = NA)", FALSE),
    hatvalues = list("hatvalues(m4)", FALSE),
    cooks = list("cooks.distance(m4)", FALSE),
    pca = list("lapply(rePCA(m4), function(p) p$sdev)", FALSE),
    r2 = list("unlist(performance::r2_nakagawa(m4))", FALSE),
    icc = list("unlist(performance::icc(m4))", FALSE),
    rmse = list("performance::rmse(m4)", FALSE)
  )
  if (REML) {
    queries$summary_kr <- list("summary(m, ddf = \"Kenward-Roger\")", TRUE)
    queries$anova_kr <- list("anova(m, ddf = \"Kenward-Roger\")", TRUE)
    queries$vcov_kr <- list("as.matrix(pbkrtest::vcovAdj(m4))", FALSE)
  }
  if (length(fixef(environment$m4)) > 2) {
    queries$vif <- list("car::vif(m4)", FALSE)
  }
  influence_of <- names(getME(environment$m4, "flist"))[1]
  if (nrow(d) < 700 && is.null(case$weights)) {
    queries$influence <- list(sprintf(
      "{ i <- influence(m4, \"%s\"); list(dfbeta = dfbeta(i), dfbetas = dfbetas(i), cooks = cooks.distance(i)) }",
      influence_of), FALSE)
  }
  if (isTRUE(case$profile)) {
    queries$confint_profile <- list("suppressWarnings(confint(m4, quiet = TRUE))", TRUE)
    queries$confint_profile_names <- list(
      "suppressWarnings(confint(m4, quiet = TRUE, oldNames = FALSE, level = 0.9))", TRUE)
  }
  if (!is.null(case$specs)) {
    for (ddf in c("kenward-roger", "satterthwaite", "asymptotic")) {
      key <- sub("-.*", "", ddf)
      spec <- case$specs[1]
      queries[[paste0("emm_", key)]] <- list(
        sprintf("emmeans(m, ~ %s, lmer.df = \"%s\")", spec, ddf), TRUE)
      queries[[paste0("pairs_", key)]] <- list(
        sprintf("pairs(emmeans(m, ~ %s, lmer.df = \"%s\"))", spec, ddf), TRUE)
    }
    emm <- sprintf("emmeans(m, ~ %s, lmer.df = \"satterthwaite\")", spec)
    for (method in c("trt.vs.ctrl", "consec", "eff", "poly", "revpairwise", "trt.vs.ctrlk", "del.eff",
                     "mean_chg", "tukey", "helmert")) {
      if (method == "helmert") next
      queries[[paste0("contrast_", method)]] <- list(
        sprintf("contrast(%s, \"%s\")", emm, method), TRUE)
    }
    for (adjust in c("holm", "bonferroni", "sidak", "none", "scheffe", "BH", "hochberg")) {
      queries[[paste0("adjust_", adjust)]] <- list(
        sprintf("contrast(%s, \"pairwise\", adjust = \"%s\")", emm, adjust), TRUE)
    }
    for (method in c("trt.vs.ctrl", "trt.vs.ctrlk")) {
      queries[[paste0("mvt_", method)]] <- list(
        sprintf("contrast(%s, \"%s\", adjust = \"mvt\")", emm, method), FALSE)
    }
    queries$pairs_confint <- list(sprintf("confint(pairs(%s))", emm), TRUE)
    if (length(case$specs) > 1) {
      both <- paste(case$specs, collapse = " * ")
      queries$emm_both <- list(sprintf("emmeans(m, ~ %s, lmer.df = \"satterthwaite\")", both), TRUE)
      queries$emm_proportional <- list(sprintf(
        "emmeans(m, ~ %s, lmer.df = \"satterthwaite\", weights = \"proportional\")", case$specs[1]), TRUE)
      if (case$name != "cake") queries$pairs_both <- list(
        sprintf("pairs(emmeans(m, ~ %s, lmer.df = \"satterthwaite\"))", both), TRUE)
    }
    if (!is.null(case$by)) {
      queries$emm_by <- list(sprintf(
        "emmeans(m, ~ %s | %s, lmer.df = \"satterthwaite\")", case$specs[1], case$by), TRUE)
      queries$pairs_by <- list(sprintf(
        "pairs(emmeans(m, ~ %s | %s, lmer.df = \"satterthwaite\"))", case$specs[1], case$by), TRUE)
    }
  }
  if (!is.null(case$trends)) {
    queries$trends <- list(sprintf(
      "emtrends(m, ~ %s, var = \"%s\", lmer.df = \"satterthwaite\")", case$specs[1], case$trends), TRUE)
    queries$trends_pairs <- list(sprintf(
      "pairs(emtrends(m, ~ %s, var = \"%s\", lmer.df = \"satterthwaite\"))",
      case$specs[1], case$trends), TRUE)
    queries$emm_at <- list(sprintf(
      "emmeans(m, ~ %s, at = list(%s = c(1, 10)), lmer.df = \"satterthwaite\")",
      paste(case$specs[1], case$trends, sep = " * "), case$trends), TRUE)
  }
  if (case$name == "sleep") {
    local({
      m0 <- lme4::lmer(Reaction ~ 1 + (Days | Subject), sleepstudy)
      m1 <- lme4::lmer(Reaction ~ Days + (1 | Subject), sleepstudy)
      fm <- lm(Reaction ~ Days, sleepstudy)
    }, environment)
    queries$anova_models <- list("anova(m4, m0, m1)", TRUE)
    queries$anova_models_reml <- list("anova(m1, m4, refit = FALSE)", TRUE)
    queries$anova_lm <- list("anova(m1, fm)", TRUE)
    queries$anova_lm_two <- list("anova(m4, m1, fm)", TRUE)
    queries$lm <- list("summary(fm)$coefficients", FALSE)
    queries$lm_text <- list("capture.output(print(summary(fm)))", FALSE)
    queries$lmlist <- list("as.data.frame(unclass(coef(lmList(Reaction ~ Days | Subject, sleepstudy))))", FALSE)
    queries$lmlist_text <- list(
      "capture.output(print(lmList(Reaction ~ Days | Subject, sleepstudy)))", FALSE)
    queries$kr_modcomp <- list("pbkrtest::KRmodcomp(m4, m0)", TRUE)
    queries$sat_modcomp <- list("pbkrtest::SATmodcomp(m4, m0)", TRUE)
    queries$contest <- list("contest(m, diag(2), joint = TRUE)", FALSE)
    queries$contest_rows <- list("contest(m, diag(2), joint = FALSE)", FALSE)
    queries$profile <- list("suppressWarnings(profile(m4))", FALSE)
    queries$predict_new <- list(paste0(
      "predict(m4, newdata = data.frame(Days = c(0, 5, NA, 20), Subject = c(\"308\", \"372\", \"308\", \"335\")))"),
      FALSE)
    queries$predict_new_level <- list(paste0(
      "predict(m4, newdata = data.frame(Days = c(0, 5), Subject = c(\"308\", \"new\")), allow.new.levels = TRUE)"),
      FALSE)
    queries$predict_new_level_error <- list(
      "predict(m4, newdata = data.frame(Days = c(0, 5), Subject = c(\"308\", \"new\")))", FALSE)
    queries$predict_na_group <- list(paste0(
      "predict(m4, newdata = data.frame(Days = c(0, 5), Subject = c(\"308\", NA)), allow.new.levels = TRUE)"),
      FALSE)
    queries$predict_na_group_error <- list(
      "predict(m4, newdata = data.frame(Days = c(0, 5), Subject = c(\"308\", NA)))", FALSE)
    queries$predict_partial <- list("predict(m4, re.form = ~ (1 | Subject))", FALSE)
    queries$predict_slope <- list("predict(m4, re.form = ~ (0 + Days | Subject))", FALSE)
    queries$influence_rows <- list(
      "{ i <- influence(m4); list(dfbeta = dfbeta(i), cooks = cooks.distance(i)) }", FALSE)
  }
  if (case$name == "machines") {
    environment$mr <- lme4::lmer(score ~ Machine + (Machine | Worker), environment$Machines)
    queries$ranova_slopes <- list("ranova(lmerTest::lmer(score ~ Machine + (Machine | Worker), d))", TRUE)
    queries$pca_slopes <- list("lapply(rePCA(mr), function(p) p$sdev)", FALSE)
    queries$kr_vs_small <- list(
      "pbkrtest::KRmodcomp(m4, lme4::lmer(score ~ 1 + (1 | Worker/Machine), Machines))", TRUE)
  }
  if (startsWith(case$formula, "log(")) {
    for (type in c("link", "response")) {
      emm <- sprintf("emmeans(m, ~ Diet, lmer.df = \"satterthwaite\", type = \"%s\")", type)
      queries[[paste0("emm_log_", type)]] <- list(emm, TRUE)
      queries[[paste0("pairs_log_", type)]] <- list(sprintf("pairs(%s)", emm), TRUE)
    }
  }
  if (case$name == "sleep-poly") {
    queries$predict_poly <- list(
      "predict(m4, newdata = data.frame(Days = c(0.5, 11), Subject = c(\"308\", \"372\")))", FALSE)
  }
  if (case$name == "pastes") {
    queries$predict_nested <- list(paste0(
      "predict(m4, newdata = data.frame(batch = c(\"A\", \"B\", \"Z\"), cask = c(\"a\", \"c\", \"a\")),",
      " allow.new.levels = TRUE)"), FALSE)
  }
  queries <- queries[grepl(questions, names(queries))]
  answers <- lapply(queries, function(q) answer(q[[1]], environment, q[[2]]))
  made <- c(R = paste(R.version$major, R.version$minor, sep = "."),
            sapply(c("lme4", "lmerTest", "pbkrtest", "emmeans", "performance", "car"),
                   function(p) tryCatch(as.character(packageVersion(p)), error = function(e) NA)))
  failed <- Filter(function(a) !is.null(a$failure), answers)
  if (length(failed)) cat("\n  failed:", paste(names(failed), collapse = ", "), "\n")
  write(jsonlite::toJSON(list(made_by = as.list(made), answers = answers), auto_unbox = TRUE,
                         digits = I(15), null = "null", na = "string"),
        file.path(dirname(models), "golden", paste0(case$name, ".json")))
}
cat("\n")
