"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const part = (name) => document.getElementById(`explorer-${name}`);
  const slider = part("threshold"), choice = part("model"), prevalence = part("prevalence");
  const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "–");
  const whole = (count) => count.toLocaleString("en");

  const rates = (model, step) => ({
    sensitivity: model.found[step] / data.positives,
    specificity: 1 - model.alarms[step] / data.negatives,
  });

  const drawCurve = (model) => {
    const line = part("curve");
    const corners = ["0,100", ...model.thresholds.map((_, step) => {
      const { sensitivity, specificity } = rates(model, step);
      return `${(100 * (1 - specificity)).toFixed(2)},${(100 * (1 - sensitivity)).toFixed(2)}`;
    }).reverse()];
    line.setAttribute("points", corners.join(" "));
    const own = rates(model, model.own);
    part("own-mark").setAttribute("cx", 100 * (1 - own.specificity));
    part("own-mark").setAttribute("cy", 100 * (1 - own.sensitivity));
  };

  const show = () => {
    const model = data.models[Number(choice.value)], step = Number(slider.value);
    const { sensitivity, specificity } = rates(model, step);
    const share = Number(prevalence.value) / 100;
    const known = prevalence.value !== "" && share >= 0 && share <= 1;
    const right = sensitivity * share, wrong = (1 - specificity) * (1 - share);
    const cleared = specificity * (1 - share), missed = (1 - sensitivity) * share;
    const values = {
      sensitivity, specificity,
      ppv: known ? right / (right + wrong) : NaN,
      npv: known ? cleared / (cleared + missed) : NaN,
    };
    for (const [name, value] of Object.entries(values)) {
      part(name).textContent = percent(value);
      part(`${name}-bar`).style.width = Number.isFinite(value) ? `${100 * value}%` : "0";
    }
    const found = model.found[step], alarms = model.alarms[step];
    part("found").textContent = whole(found);
    part("missed").textContent = whole(data.positives - found);
    part("alarms").textContent = whole(alarms);
    part("cleared").textContent = whole(data.negatives - alarms);
    const threshold = model.thresholds[step].toFixed(4), isOwn = step === model.own;
    part("value").textContent = threshold + (isOwn ? " (its own)" : "");
    slider.setAttribute("aria-valuetext",
      `threshold ${threshold}${isOwn ? ", its own" : ""}: sensitivity ${percent(sensitivity)}, specificity ${percent(specificity)}`);
    part("mark").setAttribute("cx", 100 * (1 - specificity));
    part("mark").setAttribute("cy", 100 * (1 - sensitivity));
    prevalence.setAttribute("aria-invalid", String(!known));
  };

  const choose = () => {
    const model = data.models[Number(choice.value)];
    slider.max = String(model.thresholds.length - 1);
    slider.value = String(model.own);
    part("panel").style.setProperty("--mine", `var(--model-${Number(choice.value) % 8})`);
    drawCurve(model);
    show();
  };

  data.models.forEach((model, number) => choice.add(new Option(model.name, String(number))));
  slider.addEventListener("input", show);
  prevalence.addEventListener("input", show);
  choice.addEventListener("change", choose);
  part("reset").addEventListener("click", choose);
  part("off").hidden = true;
  part("panel").hidden = false;
  choose();
})();
