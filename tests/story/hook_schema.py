"""Requests and answers of hooks against the schemas of docs/."""
import json
import pathlib

import jsonschema

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def validator(dialect, part):
    schema = json.loads((DOCS / f"hooks-{dialect}.schema.json").read_text())
    schema["$ref"] = f"#/$defs/{part}"
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_request(body, dialect="classic"):
    """The request (bytes) as Python values; what is wrong with it is an assertion that says where."""
    value = json.loads(body)
    wrong = [f"{error.json_path}: {error.message[:200]}"
             for error in validator(dialect, "request").iter_errors(value)]
    assert not wrong, "\n".join(wrong)
    return value


def answer_is_good(body, dialect="classic"):
    return validator(dialect, "answer").is_valid(json.loads(body))
