"""abi: headers in C to constants, texts and records."""

from __future__ import annotations

import pytest

from bootwright.common import abi
from bootwright.common.abi import Abi
from bootwright.common.errors import SourceError


def test_the_stubs_headers_load() -> None:
    loaded = abi.load()
    assert loaded is abi.load()
    assert loaded.constants["IMAGE_BASE"] == 0x100000
    assert loaded.constants["BOOT_DOMAIN_MEM_SIZE"] == 0x28
    assert loaded.constants["BOOT_DOMAIN_MEM_SIZE_VALUE"] == 0x30
    assert loaded.constants["BOOT_DOMAIN_SIZEOF"] == 184
    assert loaded.constants["MULTIBOOT1_MMAP_ADDR"] == 4, "unaligned on purpose"
    assert loaded.strings["M_PREFIX"] == "bootwright: "


def test_a_record_is_declared_once_for_python_too() -> None:
    record = abi.load().struct("memory_size")(kind=1, value=0x1122334455667788)
    assert record.dumps() == bytes.fromhex("01000000 00000000 8877665544332211")
    with pytest.raises(KeyError, match="no struct nothing"):
        abi.load().struct("nothing")
    with pytest.raises(KeyError):
        abi.load().struct("uint32")


def test_errors_are_in_order_of_number_and_have_texts() -> None:
    errors = abi.load().errors
    numbers = [error.number for error in errors]
    assert numbers == sorted(set(numbers))
    assert all(error.name.startswith("E_") and error.text for error in errors)


def test_format_fills_placeholders() -> None:
    made = Abi({"m.h": '#define M_X "d%u: at %x, %s"\n#define M_PLAIN "as it is"\n'})
    assert made.format("M_X", 3, 0xABC, "name") == "d3: at 0xabc, name"
    assert made.format("M_PLAIN") == "as it is"
    with pytest.raises(ValueError, match="takes 3 values, not 1"):
        made.format("M_X", 3)
    with pytest.raises(TypeError, match="%u cannot show 'a'"):
        made.format("M_X", "a", 1, "b")
    with pytest.raises(TypeError, match="%s cannot show 7"):
        made.format("M_X", 1, 1, 7)
    with pytest.raises(KeyError):
        made.format("M_NOTHING")


def test_values_may_come_from_later_headers() -> None:
    made = Abi(
        {
            "a.h": "#define A (B << 4) /* of b.h */\nstruct r { char name[N]; };",
            "b.h": "#define B 2\n#define N 8\n",
        }
    )
    assert made.constants["A"] == 32
    assert made.constants["R_SIZEOF"] == 8


def test_enums_and_nested_structs_become_constants() -> None:
    made = Abi(
        {"a.h": "enum colour { RED = 4, GREEN };\nstruct in { uint8 x; uint16 y; };\nstruct out { uint8 a; in b; };"}
    )
    assert (made.constants["RED"], made.constants["GREEN"]) == (4, 5)
    assert made.constants["OUT_B_Y"] == 2
    assert made.constants["OUT_SIZEOF"] == 4
    assert "OUT_B_SIZEOF" not in made.constants


def test_a_define_keeps_the_name_of_a_field() -> None:
    made = Abi({"a.h": "#define T_MAGIC 0x1234\nstruct t { uint32 first; uint32 magic; };"})
    assert made.constants["T_MAGIC"] == 0x1234
    assert made.constants["T_MAGIC_OFFSET"] == 4
    assert made.shadowed == {"T_MAGIC"}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"a.h": "#define X 1\n", "b.h": "\n#define X 2\n"}, "b.h:2: X: another value than at a.h:1"),
        ({"a.h": '#define X 1\n#define X "one"\n'}, "a.h:2: X: another value than at a.h:1"),
        ({"a.h": "#define X (NOTHING + 1)\n"}, "a.h:1: X: cannot make out the value '(NOTHING + 1)'"),
        ({"a.h": "struct s { nothing x; };"}, "a.h: not a declaration that can be read: "),
        (
            {"a.h": "struct a { uint8 b_c; };\nstruct a_b { uint8 x; uint8 c; };"},
            "A_B_C: another value than at",
        ),
    ],
)
def test_what_is_wrong_names_its_places(headers: dict[str, str], message: str) -> None:
    with pytest.raises(SourceError) as caught:
        Abi(headers)
    assert message in str(caught.value)


def test_the_same_define_twice_is_allowed() -> None:
    assert Abi({"a.h": "#define X 16\n", "b.h": "#define X 0x10\n"}).constants["X"] == 16


def test_directories_hold_what_they_should() -> None:
    assert (abi.stub_directory() / "abi").is_dir()
    assert (abi.linker_directory() / "stub.toml").is_file()
