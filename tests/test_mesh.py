"""`--mesh`: headings of citations, those below them in NLM's tree, and what they decide."""

import gzip

import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import build, build_corpus
from beam_pipelines.config import BuildConfig, option_differences
from beam_pipelines.inputs.mesh_tree import read_mesh_tree, wanted_headings
from beam_pipelines.jats.pubmed_reader import read_citation
from beam_pipelines.stages.increments import NothingNewError
from pmc2vec.errors import UserError
from tests.bulk import write_archive
from tests.pubmed import citation, write_numbered
from tests.test_pubmed_files import ALONE, dropped, full_text

MELANOMA, GOUT, HUMANS = "D008545 Melanoma", "D006073 Gout", "D006801 Humans"
TREE = {
    "D009369 Neoplasms": ["C04"],
    "D012878 Skin Neoplasms": ["C04.588.805", "C17.800.882"],
    MELANOMA: ["C04.557.465.625.650.510"],
    "D018328 Nevi and Melanomas": ["C04.557.665"],
    GOUT: ["C05.550.354"],
    "D000001 No Place": [],
}


@pytest.fixture(params=["desc2026.xml", "desc2026.gz", "mtrees2026.bin"])
def tree(request, tmp_path):
    """The tree, in each form in which NLM serves it."""
    path = tmp_path / request.param
    path.write_bytes(mtrees() if path.suffix == ".bin" else descriptors())
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return str(path)


def descriptors() -> bytes:
    records = (
        "<DescriptorRecord DescriptorClass='1'>"
        f"<DescriptorUI>{heading[:7]}</DescriptorUI>"
        f"<DescriptorName><String>{heading[8:]}</String></DescriptorName>"
        "<PharmacologicalActionList><PharmacologicalAction><DescriptorReferredTo>"
        "<DescriptorUI>D000970</DescriptorUI></DescriptorReferredTo></PharmacologicalAction>"
        "</PharmacologicalActionList><TreeNumberList>"
        + "".join(f"<TreeNumber>{number}</TreeNumber>" for number in numbers)
        + "</TreeNumberList></DescriptorRecord>"
        for heading, numbers in TREE.items()
    )
    head = "<?xml version='1.0'?><!DOCTYPE DescriptorRecordSet SYSTEM 'https://x/desc2026.dtd'>"
    return f"{head}<DescriptorRecordSet>{''.join(records)}</DescriptorRecordSet>".encode()


def mtrees() -> bytes:
    return "".join(
        f"{heading[8:]};{number}\r\n" for heading, numbers in TREE.items() for number in numbers
    ).encode()


# --- the tree ------------------------------------------------------------------------------------


def test_a_heading_and_those_below_it(tree):
    by_id = {"D008545", "D009369", "D012878", "D018328"}
    by_name = {"melanoma", "neoplasms", "nevi and melanomas", "skin neoplasms"}
    expected = by_name if tree.endswith("bin") else by_id
    assert set(wanted_headings(["neoplasms"], tree)) == expected
    assert len(wanted_headings(["Skin Neoplasms", "GOUT"], tree)) == 2


def test_a_number_that_only_begins_alike_is_not_below(tmp_path):
    path = tmp_path / "mtrees.bin"
    path.write_text("A;C04.5\nB;C04.55\nC;C04.5.1\n")
    assert wanted_headings(["a"], str(path)) == ("a", "c")


def test_without_a_tree_a_heading_is_itself():
    assert wanted_headings([" d008545", "Skin  Neoplasms", "D008545"]) == (
        "D008545", "skin neoplasms",
    )  # fmt: skip


def test_ids_are_in_one_of_the_two_files(tmp_path):
    (tmp_path / "desc.xml").write_bytes(descriptors())
    (tmp_path / "m.bin").write_bytes(mtrees())
    assert wanted_headings(["d012878"], str(tmp_path / "desc.xml")) == ("D012878",)
    with pytest.raises(UserError, match=r"m\.bin has no ids; give the name, or NLM's desc"):
        wanted_headings(["D012878"], str(tmp_path / "m.bin"))


def test_a_heading_that_is_not_in_the_tree_is_named_with_its_neighbours(tree):
    with pytest.raises(UserError, match=r"--mesh Melanomas: .* no such heading; near it are Melan"):
        wanted_headings(["Melanomas"], tree)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a text of one's own\n", "no tree of MeSH"),
        (b"", "no tree of MeSH"),
        (descriptors()[:600], "cannot be read"),
        (b"<DescriptorRecordSet/>", "no tree of MeSH"),
        (gzip.compress(descriptors())[:150], "cannot be read"),
        (b"A;C04\n" + b"x" * 200_000, "cannot be read .a line of more than"),
    ],
)
def test_what_is_no_tree_says_so(tmp_path, data, message):
    path = tmp_path / "tree"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        read_mesh_tree(str(path))


def test_a_tree_with_an_external_entity_reads_no_other_file(tmp_path):
    (tmp_path / "secret").write_text("Secret")
    head = f"<!DOCTYPE DescriptorRecordSet [<!ENTITY x SYSTEM '{tmp_path}/secret'>]>"
    data = descriptors().replace(b"Melanoma<", b"Melanoma&x;<")
    path = tmp_path / "desc.xml"
    path.write_bytes(head.encode() + data[data.index(b"<DescriptorRecordSet>") :])
    assert "Secret" not in repr(read_mesh_tree(str(path)))


# --- headings of a citation ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("UI=", "Type='x' UI="),
        lambda text: text.replace("<MeshHeadingList>", "<!-- --><MeshHeadingList>"),
        lambda text: text.replace("Gout", "G&#111;ut"),
        lambda text: text.replace("Gout<", "Gout\n<"),
        lambda text: text.replace(">Gout", "> Gout"),
    ],
)
def test_headings_are_read_however_they_are_written(change):
    article = read_citation(change(citation(1, mesh=(MELANOMA, GOUT))).encode(), ("abstract",))
    assert article.mesh == "D008545 Melanoma; D006073 Gout"
    assert [block for s in article.sections for block in s.blocks] == ["Melanoma cells divide."]


# --- builds --------------------------------------------------------------------------------------


def corpus(tmp_path, name="d", **options):
    config = BuildConfig(input=(str(tmp_path / "in"),), output=str(tmp_path / name), **options)
    funnel = build_corpus(config, ALONE).funnel
    parts = sorted((tmp_path / name / "corpus").glob("*.parquet"))
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    return funnel, {row["article_id"]: row["mesh"] for row in rows}


def write_both_kinds(folder):
    """Writes citations and full text that are linked by both ids, by one, and by none."""
    write_numbered(
        folder, 1,
        citation(11, pmc="PMC1", mesh=(MELANOMA, HUMANS)),
        citation(12, mesh=(MELANOMA,)),
        citation(13, pmc="PMC3", mesh=(MELANOMA,)),
        citation(14, pmc="PMC4", mesh=(GOUT,)),
        citation(15, pmc="PMC5"),
        citation(16, "Of moles.", mesh=(MELANOMA,)),
        citation(17, "Of gout.", mesh=(GOUT,)),
        citation(18, pmc="PMC8", mesh=(MELANOMA,), types=("Letter",)),
    )  # fmt: skip
    write_archive(folder / "a.tar.gz", {
        "x/PMC1.xml": full_text(1, 11),
        "x/PMC2.xml": full_text(2, 12),  # by the PMID in the JATS alone
        "x/PMC3.xml": full_text(3),  # by the id of PubMed Central in the citation alone
        "x/PMC4.xml": full_text(4, 14),
        "x/PMC5.xml": full_text(5, 15),  # a citation without headings
        "x/PMC6.xml": full_text(6, 600),  # a citation that is not there
        "x/PMC8.xml": full_text(8, 18),
    })  # fmt: skip
    write_archive(folder / "b.tar.gz", {"x/PMC6.xml": full_text(6, 600)})  # Once more.
    (folder / "plain.xml").write_bytes(
        b"<article><front><article-meta/></front><body><p>Melanoma.</p></body></article>"
    )


def test_full_text_is_kept_by_the_headings_of_its_citation(tmp_path):
    write_both_kinds(tmp_path / "in")
    funnel, mesh = corpus(tmp_path, mesh=("melanoma",))
    assert mesh == {
        "PMC1": "D008545 Melanoma; D006801 Humans", "PMC2": "", "PMC3": "D008545 Melanoma",
        "PMC8": "D008545 Melanoma", "pmid:16": "D008545 Melanoma",
    }  # fmt: skip
    assert (funnel["read"], funnel["kept"]) == (17, 5)
    # Dropped are the citations 14, 15 and 17, PMC4, PMC5 and PMC6, and plain.xml.
    assert dropped(funnel) == {
        "dropped:mesh": 7, "dropped:in_full_text": 4, "dropped:superseded": 1,
    }  # fmt: skip


def test_a_citation_that_is_dropped_still_decides_about_its_full_text(tmp_path):
    write_both_kinds(tmp_path / "in")
    options = {"article_types": ("research-article",), "keywords": ("melanoma",)}
    _, mesh = corpus(tmp_path, mesh=("D008545",), **options)
    assert sorted(mesh) == ["PMC1", "PMC2", "PMC3", "PMC8"]


def test_without_the_option_headings_are_a_column_and_decide_nothing(tmp_path):
    write_both_kinds(tmp_path / "in")
    funnel, mesh = corpus(tmp_path)
    assert (funnel["kept"], funnel["dropped:in_full_text"]) == (10, 6)
    assert (mesh["PMC1"], mesh["PMC4"], mesh["PMC6"], mesh["pmid:17"]) == (
        "D008545 Melanoma; D006801 Humans", "D006073 Gout", "", "D006073 Gout",
    )  # fmt: skip
    again, mesh_again = corpus(tmp_path)  # Finished: nothing is read or taken out twice.
    assert (again, mesh_again) == (funnel, mesh)


def test_headings_below_are_kept_with_a_tree(tmp_path):
    (tmp_path / "desc").write_bytes(descriptors())
    write_numbered(
        tmp_path / "in", 1, citation(1, mesh=("D012878 Another Name",)), citation(2, mesh=(GOUT,))
    )
    _, mesh = corpus(tmp_path, mesh=("Neoplasms",), mesh_tree=str(tmp_path / "desc"))
    assert list(mesh) == ["pmid:1"]


def test_full_text_without_citations_says_what_is_missing(tmp_path):
    (tmp_path / "in").mkdir()
    write_archive(tmp_path / "in/a.tar.gz", {"x/PMC1.xml": full_text(1, 11)})
    with pytest.raises(UserError, match=r"1 dropped:mesh\); check --mesh \(full text has the head"):
        corpus(tmp_path, mesh=("melanoma",))


def test_of_two_versions_the_newer_one_decides(tmp_path):
    folder = tmp_path / "in"
    old, new = (MELANOMA,), (GOUT,)
    write_numbered(
        folder, 1, citation(1, mesh=old), citation(2), citation(3, mesh=new),
        citation(4, mesh=old, pmc="PMC4"), citation(5, mesh=new, pmc="PMC5"), citation(6, mesh=old),
    )  # fmt: skip
    write_numbered(
        folder, 2, citation(1, mesh=new), citation(2, mesh=old),
        citation(4, mesh=new, pmc="PMC4"), citation(5, mesh=old, pmc="PMC5"), delete=(6,),
    )  # fmt: skip
    with_pmid = {f"x/PMC{n}.xml": full_text(n, n) for n in (1, 2, 3, 6)}
    write_archive(folder / "a.tar.gz", with_pmid | {f"x/PMC{n}.xml": full_text(n) for n in (4, 5)})
    assert sorted(corpus(tmp_path, mesh=("melanoma",))[1]) == ["PMC2", "PMC5"]


def test_an_increment_knows_what_headings_decided(tmp_path):
    folder = tmp_path / "in"
    options = {"min_count": 1, "num_shards": 1, "validation_fraction": 0.0, "sample": 0.0,
               "mesh": ("melanoma",)}  # fmt: skip
    write_numbered(folder, 1, citation(1, "maize grows here", mesh=(MELANOMA,)))
    # Dropped: no citation.
    write_archive(folder / "a.tar.gz", {"x/PMC2.xml": full_text(2, 2), "x/PMC3.xml": full_text(3)})
    one = BuildConfig(input=(str(folder),), output=str(tmp_path / "one"), **options)
    assert build(one, ALONE).funnel["kept"] == 1
    write_numbered(
        folder, 2, citation(2, "wheat grows there", mesh=(MELANOMA,)),
        citation(3, "rye grows there", pmc="PMC3", mesh=(MELANOMA,)),
    )  # fmt: skip
    write_archive(folder / "b.tar.gz", {"x/PMC1.xml": full_text(1, 1)})
    two = BuildConfig(
        input=(str(folder),), output=str(tmp_path / "two"), since=str(tmp_path / "one"), **options
    )
    funnel = build(two, ALONE).funnel
    # The full text of a known citation, and the citations of full text that was not learned.
    assert (funnel["read"], funnel["kept"]) == (3, 3)
    with pytest.raises(NothingNewError):
        build(BuildConfig(input=(str(folder),), output=str(tmp_path / "three"),
                          since=str(tmp_path / "two"), **options), ALONE)  # fmt: skip


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mesh": ("x", " ")}, "--mesh: an empty heading"),
        ({"mesh_tree": "t"}, "--mesh_tree needs --mesh"),
        ({"mesh": ("x",), "input": ("pmc",)}, "give their citations too, as --input pmc pubmed"),
    ],
)
def test_options_that_cannot_mean_anything(options, message):
    with pytest.raises(ValueError, match=message):
        BuildConfig(**({"input": ("a",), "output": "b"} | options))


def test_another_tree_is_another_build(tmp_path):
    trees = tmp_path / "one", tmp_path / "two"
    trees[0].write_bytes(mtrees())
    trees[1].write_bytes(mtrees().replace(b"Nevi and Melanomas;C04", b"Nevi and Melanomas;C05"))
    one, two = (
        BuildConfig(input=("a",), output="b", mesh=("Neoplasms",), mesh_tree=str(tree))
        for tree in trees
    )
    (difference,) = option_differences(one.recorded_options(), two.recorded_options())
    assert difference.startswith("--mesh_tree ")
