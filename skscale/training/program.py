"""Training steps recorded as a program that runs without Python.

A step of small networks has about twenty small operations. Python takes about half of the time,
and holds the GIL between operations, so that two threads with a stack each took longer than
one. Like a CUDA graph on a GPU, a program records the operations of one step and repeats them:
torch's interpreter loops over the steps of a chunk in C++ without the GIL. The kernels are the
same, and so are the results.

The interpreter is that of TorchScript. PyTorch no longer develops TorchScript as a language,
and the functions used here are private. If they are missing or fail, `record` returns None, and
the steps run in Python.
"""

import threading

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..forks import hold_while_forking

_compiled = {}
_lock = hold_while_forking(threading.Lock())


class StepProgram:
    """Recorded step that can run many times.

    Parameters
    ----------
    function : callable
        `function(n_steps, *stacked, *static)`.
    static : list of tensors and of lists of tensors
        Operands that are the same in every step.
    """

    def __init__(self, function, static):
        self.function = function
        self.static = static

    def run(self, stacked):
        """Run the step for every index of the first axis.

        Parameters
        ----------
        stacked : list of tensors of shape (n_steps, ...)
            In the order of the inputs of `record`.
        """
        # Without torch's graph optimizer: it gains nothing here, and would run the first
        # steps of every new program ten times slower. The setting is per thread.
        former = torch._C._get_graph_executor_optimize()
        torch._C._set_graph_executor_optimize(False)
        try:
            self.function(len(stacked[0]), *stacked, *self.static)
        finally:
            torch._C._set_graph_executor_optimize(former)


def record(run_step, inputs):
    """Run a step, and return a program that repeats it with other inputs.

    Parameters
    ----------
    run_step : callable
        Takes the inputs, launches torch operations, returns nothing. Other tensors that it
        reads or writes must keep their memory.
    inputs : list of tensors
        Tensors that differ in each step.

    Returns
    -------
    StepProgram or None
        None if this step cannot be recorded, or torch lacks the functions.
    """
    recorder = _Recorder(inputs)
    with recorder:
        run_step(*inputs)
    if recorder.refusal is not None:
        return None
    text = recorder.text(len(inputs))
    with _lock:
        function = _compiled.get(text)
        if function is None:
            try:
                graph = torch._C.parse_ir(text)
                function = torch._C._create_function_from_graph("step", graph)
            except (AttributeError, RuntimeError):
                return None
            if not hasattr(torch._C, "_set_graph_executor_optimize"):
                return None
            _compiled[text] = function
    return StepProgram(function, recorder.static)


class _Recorder(TorchDispatchMode):
    # Writes the operations in the text form of torch's graphs, as the body of a loop.

    def __init__(self, inputs):
        super().__init__()
        self.lines = []
        self.constants = {}
        self.static = []
        self.refusal = None
        # Keyed by object id, so all tensors are kept alive.
        self.names = {id(t): f"%in{i}" for i, t in enumerate(inputs)}
        self.references = list(inputs)
        self.computed = set(self.names)
        self.lists = {}
        self.n_values = 0

    @classmethod
    def _should_skip_dynamo(cls):
        # Nothing is compiled here, and importing dynamo would take seconds.
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        results = func(*args, **kwargs)
        if self.refusal is None:
            try:
                self._write(func._schema, args, kwargs, results)
            except _CannotWriteError as refusal:
                self.refusal = refusal
        return results

    def _write(self, schema, args, kwargs, results):
        operands = []
        for i, argument in enumerate(schema.arguments):
            if i < len(args):
                value = args[i]
            else:
                value = kwargs.get(argument.name, argument.default_value)
            operands.append(self._name_of(value, str(argument.type)))
        results = results if isinstance(results, tuple) else (results,)
        outputs = []
        for declared, result in zip(schema.returns, results, strict=False):
            if str(declared.type) != "Tensor":
                raise _CannotWriteError(f"a result of {schema.name}")
            name = self._new_name()
            outputs.append(f"{name} : Tensor")
            if result is not None:  # None if not requested
                if id(result) not in self.names:
                    self.computed.add(id(result))
                self.names[id(result)] = name
                self.references.append(result)
        assigned = f"{', '.join(outputs)} = " if outputs else ""
        self.lines.append(f"{assigned}{schema.name}({', '.join(operands)})")

    def _add_static(self, value):
        self.static.append(value)
        return f"%st{len(self.static) - 1}"

    def _new_name(self):
        self.n_values += 1
        return f"%v{self.n_values}"

    def _name_of(self, value, kind):
        if isinstance(value, torch.Tensor):
            if id(value) not in self.names:
                self.names[id(value)] = self._add_static(value)
                self.references.append(value)
            return self.names[id(value)]
        is_list = isinstance(value, (list, tuple)) and bool(value)
        if is_list and "Tensor" in kind and self.computed.isdisjoint(map(id, value)):
            # One operand: for a list built in the program, torch's optimizer would not see
            # that its tensors are written to, and would drop the operation.
            key = tuple(map(id, value))
            if key not in self.lists:
                self.lists[key] = self._add_static(list(value))
            return self.lists[key]
        if isinstance(value, (list, tuple)):
            if is_list and "Tensor" in kind:
                raise _CannotWriteError("a list of tensors made in the step")
            element = "Tensor" if "Tensor" in kind else type(value[0]).__name__
            items = ", ".join(self._name_of(item, element) for item in value)
            name = self._new_name()
            self.lines.append(f"{name} : {element}[] = prim::ListConstruct({items})")
            return name
        if value is None:
            return self._constant("NoneType", "prim::Constant()")
        if isinstance(value, bool):
            return self._constant("bool", f"prim::Constant[value={int(value)}]()")
        if isinstance(value, int):
            return self._constant("int", f"prim::Constant[value={value}]()")
        if isinstance(value, float):
            return self._constant("float", f"prim::Constant[value={value!r}]()")
        if isinstance(value, str):
            return self._constant("str", f'prim::Constant[value="{value}"]()')
        raise _CannotWriteError(f"a value of {type(value)}")

    def _constant(self, kind, text):
        key = (kind, text)
        if key not in self.constants:
            self.constants[key] = f"%c{len(self.constants)}"
        return self.constants[key]

    def text(self, n_inputs):
        zero = self._constant("int", "prim::Constant[value=0]()")
        true = self._constant("bool", "prim::Constant[value=1]()")
        none = self._constant("NoneType", "prim::Constant()")
        parameters = [f"%all{i} : Tensor" for i in range(n_inputs)]
        parameters += [
            f"%st{i} : Tensor{'[]' if isinstance(value, list) else ''}"
            for i, value in enumerate(self.static)
        ]
        return "\n".join(
            [
                f"graph(%n_steps : int, {', '.join(parameters)}):",
                *(
                    f"  {name} : {kind} = {text}"
                    for (kind, text), name in self.constants.items()
                ),
                f"  prim::Loop(%n_steps, {true})",
                "    block0(%i : int):",
                *(
                    f"      %in{i} : Tensor = aten::select(%all{i}, {zero}, %i)"
                    for i in range(n_inputs)
                ),
                *(f"      {line}" for line in self.lines),
                f"      -> ({true})",
                f"  return ({none})",
                "",
            ]
        )


class _CannotWriteError(Exception):
    pass
