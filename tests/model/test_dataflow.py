from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nas.model.dataflow import Operand, program
from nas.model.plan import Plan, Step
from nas.space.flat import Value
from nas.space.ports import Port

IMAGE = Port("image", (4, 8, 8))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Up to 8 steps, each with one or two ports that add any terms before it, a term possibly more than once."""
    steps = []
    for number in range(1, 1 + draw(st.integers(0, 8))):
        value = st.lists(st.integers(0, number - 1), min_size=1, max_size=5).map(lambda v: tuple(sorted(v)))
        ports = tuple(draw(st.lists(value, min_size=1, max_size=2)))
        steps.append(Step(f"n{number}", f"n{number}", "C", (), ports, (IMAGE,) * len(ports), IMAGE))
    output = draw(st.lists(st.integers(0, len(steps)), min_size=1, max_size=6).map(lambda v: tuple(sorted(v))))
    return Plan(("x",), (IMAGE,), tuple(steps), output, IMAGE)


@given(plans())
def test_every_operand_is_the_sum_that_was_asked_for(plan: Plan) -> None:
    code = program(plan)
    calls = [statement for statement in code.statements if statement.step is not None]
    for call, step in zip(calls, plan.steps, strict=True):
        assert tuple(terms(operand) for operand in call.operands) == step.ports
    assert terms(code.output) == plan.output


@given(plans())
def test_a_variable_is_computed_once_before_it_is_read_and_read_before_it_ends(plan: Plan) -> None:
    code = program(plan)
    alive: set[Value] = {(0,)}
    for statement in code.statements:
        assert {variable for operand in statement.operands for variable in operand} <= alive
        assert statement.target not in alive
        alive = (alive | {statement.target}) - statement.ends
    assert set(code.output) <= alive


@given(plans())
def test_no_sum_is_written_twice(plan: Plan) -> None:
    code = program(plan)
    written = [operand for statement in code.statements for operand in statement.operands] + [code.output]
    sums = [operand for operand in written if len(operand) > 1]
    assert len(sums) == len(set(sums))


def terms(operand: Operand) -> Value:
    return tuple(sorted(i for variable in operand for i in variable))
