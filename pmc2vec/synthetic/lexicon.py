"""The words of the synthetic articles, and what is true of them.

`sentences` puts these words into sentences from which their meaning can be learned: the words of a
topic occur together; the two words of a synonym have the same companions; the disease, drug and
gene of a triple share companions, and each shares role words with the other diseases, drugs or
genes. Some words must not be learned: decoys, which occur only where no running text is, and the
words of other subjects. Nothing here is random. No word has two places, except the homographs.

    >>> TOPICS["skin"][:3], SYNONYMS[0].words, TRIPLES[3].disease
    (('melanoma', 'skin', 'epidermis'), ('neoplasm', 'tumour'), 'gout')
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KEYWORDS: Final = ("cancer", "melanoma", "carcinoma")
"""Every article on the subject says one of them in its title, abstract or body; no other does."""

TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    topic: tuple(words.split())
    for topic, words in {
        "skin": """melanoma skin epidermis melanocyte dermis sunburn ultraviolet keratinocyte
            dermoscopy pigmentation freckles sunscreen eczema dermatitis follicle squamous basal
            excision tanning photodamage hyperpigmentation vitiligo pruritus erythema scalp
            dermatologist blister keratosis lentigo subcutaneous phototherapy cutaneous""",
        "breast": """cancer breast mammography oestrogen progesterone lactation tamoxifen ductal
            lobular axilla aromatase nipple menopause mastectomy parity areola mammogram
            trastuzumab adjuvant lumpectomy contralateral fibroadenoma letrozole postmenopausal
            screening familial oophorectomy implant stromal menarche bilateral hormone""",
        "lung": """carcinoma lung bronchus alveolar emphysema pleural smoking tobacco airflow
            pneumothorax bronchoscopy thoracic inhaled surfactant ventilator pulmonary trachea
            exhaled silicosis asbestos bronchitis pneumonectomy effusion apnoea oximetry
            hypoxaemia lobectomy mediastinum respiration crackles nebuliser wheeze""",
        "diabetes": """insulin diabetes pancreas glycaemia metformin islets hypoglycaemia
            ketoacidosis obesity retinopathy adipose glucagon incretin prandial sulfonylurea
            overweight carbohydrate leptin fasting prediabetes adiponectin lipolysis glycogen
            liraglutide gestational calories sedentary endocrine secretagogue polyuria ketones
            waist""",
        "cardiology": """heart cardiac myocardium coronary ventricle atrial arrhythmia angioplasty
            troponin aorta stent ischaemia angina echocardiography palpitations pacemaker valve
            mitral atherosclerosis systolic diastolic thrombosis anticoagulant defibrillator
            tachycardia endocardial pericardium catheterisation cardiomyopathy electrocardiogram
            ejection revascularisation""",
        "infection": """infection bacteria virus pathogen sepsis antimicrobial vaccine strain
            outbreak abscess endemic serotype hygiene quarantine inoculum virulence bacteraemia
            penicillin staphylococcus streptococcus transmission contagious colonisation
            immunisation contaminated microbe seroprevalence leukocytes resistance incubation
            zoonotic hospitalised""",
        "neurology": """brain neuron cortex synapse axon dementia hippocampus cognition myelin glia
            cerebellum neurotransmitter migraine concussion spinal paralysis cerebrospinal
            astrocyte encephalitis electroencephalogram memory amygdala motor sensory neuropathy
            ataxia thalamus dendrite aphasia meninges lumbar neurologist""",
        "nephrology": """kidney nephron glomerulus dialysis creatinine proteinuria urea tubular
            nephritis transplant haemodialysis filtration bladder ureter albuminuria nephrotic
            podocyte hyperkalaemia uraemia azotaemia urinary oliguria nephrologist cystatin
            allograft nephrolithiasis hydronephrosis peritoneal electrolyte diuretic anuria
            mesangial""",
    }.items()
}
"""Topic -> its own words, the most frequent first."""

OFF_SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    subject: tuple(words.split())
    for subject, words in {
        "astronomy": """star galaxy telescope orbit comet asteroid redshift nebula supernova pulsar
            quasar planet exoplanet photometry parallax luminosity spectrograph magnitude cosmic
            interstellar eclipse observatory accretion spiral dwarf gravitational constellation
            meteor lunar zodiacal""",
        "agronomy": """crop wheat maize soil irrigation fertiliser yield harvest tillage seedling
            barley sowing weed pest grain cultivar rotation drought nitrogen ploughing legume
            orchard pasture manure herbicide sorghum agronomist canopy germination rainfall""",
        "metallurgy": """alloy steel ceramic corrosion weld polymer annealing tensile ductile
            graphite oxide coating lattice nanotube sintering hardness brittle creep forging
            titanium aluminium quench microstructure austenite martensite furnace casting rolling
            smelting ingot""",
    }.items()
}
"""Other subject -> its words; no article on the subject has them."""

PLAIN: Final = "plain"
HOMOGRAPH: Final = "homograph"
ITALIC: Final = "italic"
SUBSCRIPT: Final = "subscript"
CITED: Final = "cited"
EDGE: Final = "edge"
FIGURE: Final = "figure reference"


@dataclass(frozen=True)
class Synonym:
    """Two words that mean the same.

    Attributes:
        topic: the topic in whose articles they stand.
        words: the pair, in lower case, as a tokenizer yields them.
        trap: how the second word always looks in the XML, or what else may go wrong: `homograph`
            (other subjects use the first word in another sense), `italic`, `subscript` (or
            superscript), `cited` (a raised reference number touches it), `edge` (both words end
            an unpunctuated list item), `unicode` (soft hyphen, non-breaking hyphen), or `plain`.
        companions: words that stand with this pair only.
        forms: what is written in the XML for each of the two.
    """

    topic: str
    words: tuple[str, str]
    trap: str
    companions: tuple[str, ...]
    forms: tuple[str, str]


def _synonym(topic: str, words: str, trap: str, companions: str, form: str = "") -> Synonym:
    first, second = words.split()
    forms = (first, form or second)
    return Synonym(topic, (first, second), trap, tuple(companions.split()), forms)


# Topic | the pair | trap | companions | what is written for the second word, if that is not itself.
_SYNONYM_ROWS: Final = """
    skin | neoplasm tumour | plain | margins resected nodular biopsied
    skin | mole naevus | italic | pigmented asymmetric border freckled | <italic>naevus</italic>
    skin | stage grade | homograph | ulcerated thickness mitotic staging
    breast | mass lump | homograph | palpable painless quadrant mobile
    breast | recurrence reappearance | cited | locoregional distant salvage flap
    breast | ctl cd8+ | subscript | cytotoxic lymphocytes granzyme infiltrating | CD8<sup>+</sup>
    lung | breathlessness dyspnoea | plain | exertional climbing stairs orthopnoea
    lung | phlegm expectoration | edge | purulent morning productive viscous
    lung | spirometry fev1 | subscript | litres forced predicted bronchodilator | FEV<sub>1</sub>
    diabetes | glucose dextrose | plain | infusion tolerance millimolar bolus
    diabetes | glycohaemoglobin hba1c | subscript | glycated percent quarterly target \
        | HbA<sub>1c</sub>
    diabetes | satiety fullness | cited | appetite meal ghrelin portion
    cardiology | stenosis narrowing | plain | lumen calcified occlusive bifurcation
    cardiology | pulse heartbeat | homograph | radial regular bounding auscultated
    cardiology | hypertension hypertonia | cited | cuff mercury ambulatory elevated
    infection | fever pyrexia | plain | temperature celsius shivering paracetamol
    infection | culture isolate | homograph | agar overnight swab colonies
    infection | antibacterial antibiotic | edge | broad spectrum empirical intravenous
    infection | cachectin tnf-\u03b1 | unicode | cytokine proinflammatory macrophages \
        lipopolysaccharide | TNF\u2011&#x003b1;
    neurology | headache cephalalgia | plain | throbbing frontal photophobia nausea
    neurology | stroke apoplexy | italic | hemiplegia carotid thrombolysis embolic \
        | <italic>apoplexy</italic>
    neurology | nucleus ganglion | homograph | caudate dorsal projecting afferent
    nephrology | renal nephric | plain | parenchyma pelvis calyx artery
    nephrology | plasma serum | homograph | centrifuged aliquots frozen assayed
    nephrology | scarring fibrosis | unicode | collagen interstitial progressive myofibroblasts \
        | fibr\u00adosis
"""

SYNONYMS: Final = tuple(
    _synonym(*map(str.strip, row.split("|"))) for row in _SYNONYM_ROWS.strip().split("\n")
)

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "disease": tuple("""diagnosis prevalence onset symptoms severity relapse incidence registry
        prognosis comorbidity""".split()),
    "drug": tuple("""dose placebo tablets efficacy tolerability milligrams regimen prescribed
        adherence oral""".split()),
    "gene": tuple("""allele mutation exon locus variant transcript heterozygous missense promoter
        genotype""".split()),
}  # fmt: skip
"""Role of a triple's word -> words that stand with every word of that role."""


@dataclass(frozen=True)
class Triple:
    """A disease, the drug that treats it and the gene that is mutated in it.

    Attributes:
        disease, drug, gene: one word each, in lower case.
        companions: words that stand with these three only.
        gene_form: the gene as the XML has it: always italic, in every other triple with its
            number lowered.
    """

    disease: str
    drug: str
    gene: str
    companions: tuple[str, ...]
    gene_form: str

    def form(self, role: str) -> str:
        """Returns what is written in the XML for the triple's word in `role`."""
        return self.gene_form if role == "gene" else str(getattr(self, role))


def _triple(disease: str, drug: str, gene: str, companions: str) -> Triple:
    plain = gene.replace("<sub>", "").replace("</sub>", "").lower()
    return Triple(disease, drug, plain, tuple(companions.split()), f"<italic>{gene}</italic>")


TRIPLES: Final = (
    _triple("leukaemia", "imatinib", "ABL<sub>1</sub>", "blasts marrow karyotype cytopenia"),
    _triple("epilepsy", "lamotrigine", "SCN1A", "convulsions aura interictal tonic"),
    _triple("mucoviscidosis", "ivacaftor", "CFTR", "sputum sweat chloride mucus"),
    _triple("gout", "allopurinol", "ABCG<sub>2</sub>", "urate tophus podagra joint"),
    _triple("hypercholesterolaemia", "atorvastatin", "LDLR", "xanthoma arcus lipoprotein lipids"),
    _triple("schizophrenia", "clozapine", "DRD<sub>2</sub>", "delusions psychosis paranoia apathy"),
    _triple("thalassaemia", "deferasirox", "HBB", "haemoglobin transfusion iron microcytosis"),
    _triple("malaria", "artesunate", "G<sub>6</sub>PD", "mosquito parasitaemia falciparum rigors"),
    _triple("parkinsonism", "levodopa", "SNCA", "tremor bradykinesia rigidity gait"),
    _triple("psoriasis", "ustekinumab", "IL<sub>23</sub>R", "plaques scaling nails elbows"),
    _triple("osteoporosis", "alendronate", "COL1A1", "bone vertebral hip kyphosis"),
    _triple("glaucoma", "latanoprost", "MYOC", "intraocular optic eyes cornea"),
)

UNITS: Final[Mapping[str, str]] = {
    "h2o": "H<sub>2</sub>O",
    "co2": "CO<sub>2</sub>",
    "nad+": "NAD<sup>+</sup>",
}
"""Word -> its form: small chemistry that stands in every topic."""

DECOYS: Final[Mapping[str, tuple[str, ...]]] = {
    kind: tuple(words.split())
    for kind, words in {
        "author": "brandvold okonjewska quillfeather tamsworth ystradel vanderhaag",
        "affiliation": "faculteit ringstrasse polytechnicum lansdowne",
        "journal": "transactions proceedings bulletin gazette",
        "licence": "unrestricted redistribution licensee",
        "keyword group": "keyphrase descriptor subjectheading",
        "translated": "maladie traitement chez depistage",
        "graphical abstract": "infographic pictogram thumbnail",
        "reference": "incunabula palimpsest marginalia colophon festschrift",
        "table": "tabulature ledgerline columella stubhead",
        "caption": "diorama daguerreotype silhouette scalebar",
        "formula": "eigenvalue usepackage amsmath documentclass",
        "comment": "copyeditor galleyproof typesetting",
        "processing instruction": "pagebreakhint softreturn",
        "supplementary": "spreadsheet zipfile",
        "acknowledgement": "benefactress philanthropic gratitude",
        "peer review": "rebuttal referee resubmission",
    }.items()
}
"""Kind of place -> words that stand only there, so never in running text."""

VERBS: Final = tuple("""observed measured compared assessed reported evaluated detected recorded
    analysed reviewed examined described estimated monitored quantified confirmed investigated
    excluded identified associated increased reduced documented tested""".split())  # fmt: skip

_FREQUENT: Final = """study group analysis result level effect treatment control model association
    outcome factor age sample response method rate baseline cohort trial measurement population
    follow-up evidence mechanism protein expression cell tissue activity function concentration
    protocol limitation adjustment interval hospital survival therapy exposure marker score
    correlation regression mortality ratio questionnaire comparison procedure period finding
    review assay dataset subgroup endpoint variable threshold estimate""".split()

_PREFIXES: Final = """ab ante bio cata cyto dia ecto endo epi exo geno haplo hemi hetero homo hypo
    infra inter intra iso macro meso meta micro mono multi neo oligo ortho para peri poly""".split()
_ROOTS: Final = """blast carp chrom clav cran derm fil flex gen gloss gran kin lamin lip lys morph
    nod ort phan plas por punct radi ret scler som spor stat tax therm toc trop valv zyg""".split()
_SUFFIXES: Final = """ance ase ation ide in ine ism ity oid ol one osis ule ure ist""".split()

NUM_BACKGROUND_WORDS: Final = 4000


def background_words() -> tuple[str, ...]:
    """Returns `NUM_BACKGROUND_WORDS` words of no topic, to be used with falling frequency.

    The first are those of any medical article; the rest are coined, such as `hypolaminosis`.
    """
    coined = [a + b + c for a in _PREFIXES for b in _ROOTS for c in _SUFFIXES]
    random.Random("background").shuffle(coined)
    used = planted_words() | set(_FREQUENT)
    unused = [word for word in dict.fromkeys(coined) if word not in used]
    return (*_FREQUENT, *unused[: NUM_BACKGROUND_WORDS - len(_FREQUENT)])


def planted_words() -> set[str]:
    """Returns every word of this module that has one place only."""
    groups = [*TOPICS.values(), *OFF_SUBJECTS.values(), *ROLES.values(), *DECOYS.values()]
    groups += [(*pair.words, *pair.companions) for pair in SYNONYMS]
    groups += [(each.disease, each.drug, each.gene, *each.companions) for each in TRIPLES]
    return {word for group in (*groups, tuple(UNITS), VERBS) for word in group}
