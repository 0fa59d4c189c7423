# Makes cases.toml and data/ here: models of data sets of R packages, the data with the columns that
# the models use. What lme4 says of them is made by ../golden.R.
# Usage: Rscript models.R FOLDER     (nlme, lmerTest, MASS, emmeans, lme4)
folder <- commandArgs(TRUE)[1]

models <- read.table(header = TRUE, sep = ";", strip.white = TRUE, quote = "", text = "
package; data; REML; formula
nlme; Alfalfa; TRUE; Yield ~ Date * Variety + (1 | Block)
nlme; Assay; TRUE; logDens ~ sample * dilut + (1 | Block) + (1 | Block:sample) + (1 | Block:dilut)
nlme; bdf; TRUE; langPOST ~ IQ.ver.cen + avg.IQ.ver.cen + (IQ.ver.cen | schoolNR)
nlme; bdf; FALSE; langPOST ~ sex + Minority + (1 | schoolNR)
nlme; BodyWeight; TRUE; weight ~ Time * Diet + (Time | Rat)
nlme; BodyWeight; TRUE; weight ~ Time + (Time | Rat)
nlme; Cefamandole; TRUE; log(conc) ~ Time + (Time | Subject)
nlme; Cefamandole; TRUE; log(conc) ~ poly(Time, 2) + (1 | Subject)
nlme; Dialyzer; TRUE; rate ~ QB * (pressure + I(pressure^2)) + (1 | Subject)
nlme; Dialyzer; TRUE; rate ~ QB * (pressure + I(pressure^2) + I(pressure^3)) + (pressure + I(pressure^2) | Subject)
nlme; Dialyzer; FALSE; rate ~ pressure + (pressure || Subject)
nlme; Earthquake; TRUE; log(accel) ~ log(distance) + Richter + soil + (1 | Quake)
nlme; ergoStool; TRUE; effort ~ Type + (1 | Subject)
nlme; ergoStool; FALSE; effort ~ Type + (1 | Subject)
nlme; Fatigue; TRUE; relLength ~ cycles + (cycles | Path)
nlme; Gasoline; TRUE; yield ~ endpoint + (1 | Sample)
nlme; Gasoline; FALSE; yield ~ endpoint + vapor + (1 | Sample)
nlme; Glucose; TRUE; conc ~ Time + Meal + (1 | Subject)
nlme; Glucose2; TRUE; glucose ~ poly(Time, 3) + (1 | Subject/Date)
nlme; Gun; TRUE; rounds ~ Method * Physique + (1 | Team)
nlme; IGF; TRUE; conc ~ age + (age | Lot)
nlme; Machines; TRUE; score ~ Machine + (0 + Machine | Worker)
nlme; Machines; FALSE; score ~ Machine + (1 | Worker/Machine)
nlme; MathAchieve; TRUE; MathAch ~ SES * MEANSES + (SES | School)
nlme; MathAchieve; FALSE; MathAch ~ Minority * Sex + SES + (1 | School)
nlme; Meat; TRUE; score ~ Storage + (1 | Block/Pair)
nlme; Milk; TRUE; protein ~ Time * Diet + (Time | Cow)
nlme; Muscle; TRUE; length ~ log(conc) + (log(conc) | Strip)
nlme; Nitrendipene; TRUE; activity ~ NIF + (1 | Tissue)
nlme; Oats; TRUE; yield ~ nitro * Variety + (1 | Block/Variety)
nlme; Oats; FALSE; yield ~ factor(nitro) + (1 | Block) + (1 | Block:Variety)
nlme; Orthodont; TRUE; distance ~ age * Sex + (age | Subject)
nlme; Orthodont; FALSE; distance ~ I(age - 11) * Sex + (I(age - 11) || Subject)
nlme; Ovary; TRUE; follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time) + (sin(2 * pi * Time) | Mare)
nlme; Oxboys; TRUE; height ~ age + (age | Subject)
nlme; Oxboys; TRUE; height ~ poly(age, 4) + (poly(age, 2) | Subject)
nlme; Oxide; TRUE; Thickness ~ 1 + (1 | Lot/Wafer)
nlme; PBG; TRUE; deltaBP ~ log(dose) * Treatment + (1 | Rabbit)
nlme; Pixel; TRUE; pixel ~ day + I(day^2) + (day | Dog) + (1 | Dog:Side)
nlme; Rail; TRUE; travel ~ 1 + (1 | Rail)
nlme; RatPupWeight; TRUE; weight ~ sex + Treatment + Lsize + (1 | Litter)
nlme; RatPupWeight; FALSE; weight ~ sex * Treatment + (sex | Litter)
nlme; Relaxin; TRUE; cAMP ~ log1p(conc) + (1 | Run)
nlme; Soybean; TRUE; weight ~ Time + I(Time^2) + Variety * Year + (Time | Plot)
nlme; Soybean; FALSE; log(weight) ~ poly(Time, 3) * Variety + (poly(Time, 2) | Plot)
nlme; Spruce; TRUE; logSize ~ days + plot + (days | Tree)
nlme; Tetracycline1; TRUE; conc ~ Time + Formulation + (1 | Subject)
nlme; Wafer; TRUE; current ~ voltage + I(voltage^2) + (voltage | Wafer) + (voltage | Wafer:Site)
nlme; Wheat; TRUE; DryMatter ~ fertilizer * Moisture + (1 | Tray)
nlme; Wheat2; TRUE; yield ~ variety + (1 | Block)
lmerTest; carrots; TRUE; Preference ~ sens2 + Homesize + (1 + sens2 | Consumer) + (1 | Product)
lmerTest; carrots; FALSE; Preference ~ sens1 * sens2 + Age + (sens1 + sens2 | Consumer)
lmerTest; ham; TRUE; Informed.liking ~ Product * Information + Gender + (1 | Consumer) + (1 | Product:Consumer)
lmerTest; ham; TRUE; Informed.liking ~ Product * Information * Gender * Age + (1 | Consumer) + (1 | Consumer:Product) + (1 | Consumer:Information)
lmerTest; TVbo; TRUE; Coloursaturation ~ TVset * Picture + (1 | Assessor) + (1 | Assessor:TVset)
lmerTest; TVbo; TRUE; Sharpness ~ TVset + Picture + (0 + TVset | Assessor)
MASS; nlschools; TRUE; lang ~ IQ + SES + COMB + (IQ | class)
MASS; oats; TRUE; Y ~ N * V + (1 | B/V)
MASS; petrol; TRUE; Y ~ EP + VP + (1 | No)
MASS; Rabbit; TRUE; BPchange ~ log(Dose) * Treatment + (log(Dose) | Animal)
MASS; Sitka; TRUE; size ~ Time * treat + (Time | tree)
MASS; Sitka89; FALSE; size ~ poly(Time, 2) + treat + (poly(Time, 2) | tree)
MASS; immer; TRUE; Y1 ~ Var + (1 | Loc)
emmeans; auto.noise; TRUE; noise ~ size * type + (1 | side)
emmeans; feedlot; TRUE; swt ~ ewt + diet + (1 | herd)
emmeans; MOats; TRUE; yield1 ~ Variety + (1 | Block)
emmeans; nutrition; TRUE; gain ~ age + race + (1 | group)
emmeans; oranges; TRUE; sales1 ~ price1 + price2 + day + (1 | store)
emmeans; ubds; TRUE; y ~ A + B + (1 | C)
lme4; Arabidopsis; TRUE; log1p(total.fruits) ~ nutrient * amd + (1 | gen) + (1 | reg/popu)
lme4; cake; TRUE; angle ~ recipe * temperature + (temp | recipe:replicate)
lme4; cake; FALSE; angle ~ temperature + (temperature | replicate) + (1 | recipe:replicate)
lme4; grouseticks; TRUE; log1p(TICKS) ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | LOCATION)
lme4; VerbAgg; TRUE; as.numeric(Anger) ~ Gender * btype + situ + (1 | item)
datasets; CO2; TRUE; uptake ~ conc * Treatment + Type + (conc | Plant)
datasets; CO2; FALSE; uptake ~ log(conc) + (log(conc) | Plant)
datasets; Loblolly; TRUE; height ~ poly(age, 3) + (age | Seed)
datasets; npk; TRUE; yield ~ N * P * K + (1 | block)
datasets; Orange; TRUE; circumference ~ age + (age | Tree)
datasets; Theoph; TRUE; log1p(conc) ~ log1p(Time) + Dose + (log1p(Time) | Subject)
datasets; warpbreaks; TRUE; breaks ~ tension + (tension | wool)
datasets; esoph; TRUE; ncontrols ~ agegp + alcgp + (1 | tobgp)
")
text <- function(x) paste0('"', gsub('(["\\\\])', "\\\\\\1", x), '"')

# As few digits as give the number again.
shortest <- function(x) {
  fifteen <- formatC(x, digits = 15, format = "g", width = 1)
  found <- ifelse(!is.na(x) & suppressWarnings(as.numeric(fifteen)) == x, fifteen,
                  formatC(x, digits = 17, format = "g", width = 1))
  ifelse(is.na(x), "", found)
}

unlink(file.path(folder, "data"), recursive = TRUE)
dir.create(file.path(folder, "data"))
cases <- c("# Made by models.R: models of data sets of R packages, beyond the reference suite.")
for (key in unique(paste(models$package, models$data))) {
  rows <- models[paste(models$package, models$data) == key, ]
  name <- gsub(" ", "-", key)
  d <- as.data.frame(getExportedValue(rows$package[1], rows$data[1]))
  for (n in names(d)) if (is.matrix(d[[n]])) {
    for (j in seq_len(ncol(d[[n]]))) d[[paste0(n, j)]] <- as.numeric(d[[n]][, j])
    d[[n]] <- NULL
  }
  used <- unique(unlist(lapply(rows$formula, function(f) all.vars(as.formula(f)))))
  used <- used[used %in% names(d)]
  d <- d[used]
  sidecar <- c(paste("source =", text(paste("R package", rows$package[1], "data set", rows$data[1]))),
               'licence = "GPL (>= 2)"')
  for (n in used) if (is.factor(d[[n]])) {
    sidecar <- c(sidecar, "", paste0("[columns.", text(n), "]"),
                 paste0("levels = [", paste(text(levels(d[[n]])), collapse = ", "), "]"),
                 if (is.ordered(d[[n]])) "ordered = true")
  }
  writeLines(sidecar, file.path(folder, "data", paste0(name, ".toml")))
  for (n in used) if (is.numeric(d[[n]])) d[[n]] <- shortest(d[[n]])
  write.csv(d, file.path(folder, "data", paste0(name, ".csv")), row.names = FALSE, na = "",
            quote = which(vapply(d, is.factor, TRUE)))
  for (i in seq_len(nrow(rows))) {
    cases <- c(cases, "", "[[case]]",
               paste("name =", text(paste(name, i, sep = "-"))),
               paste("data =", text(file.path("data", paste0(name, ".csv")))),
               paste("formula =", text(rows$formula[i])),
               if (!rows$REML[i]) "REML = false",
               paste("shows =", text(paste("R package", rows$package[1]))))
  }
}
writeLines(cases, file.path(folder, "cases.toml"))
