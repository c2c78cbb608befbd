// Names that are kept in English and said in the page's language, where `texts` has words for them.

/** Of a region: what nobody chose ("Region 3", "Rest") and what came with an example. A person's own stays as it is. */
function regionName(name, texts) {
  const given = /^Region (\d{1,3})$/.exec(name);
  if (given) return (texts["region_n"] ?? name).replace("{n}", given[1]);
  return (name === "Rest" ? texts["rest"] : texts[`name.${name}`]) ?? name;
}

/** Of a family of models. */
function familyTitle(family, texts) {
  return texts[`family.${family.name}.title`] ?? family.title;
}
