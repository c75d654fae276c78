"""What a Bicep template deploys, worked out as Azure would, without Azure: every resource of every module.

What is known only after a resource is there (an object id, an address) is a ``Runtime``; all else is a plain value.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.azure.azure_ids import SUBSCRIPTION, TENANT
from tests.azure.bicep_syntax import BicepError, Expression, Statement, read

_TYPES: dict[str, type] = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}


class Runtime(str):
    """A value that is known only when the resource it is of has been deployed; as text, what it is."""


@dataclass(frozen=True)
class Resource:
    """A resource as it is deployed.

    ``scope`` is the id of the resource it extends, if it does; ``after`` what its dependsOn names: ids, and modules.
    """

    type: str
    version: str
    name: str
    id: str
    scope: str
    body: Mapping[str, Any]
    module: str
    after: frozenset[str]

    @property
    def properties(self) -> Mapping[str, Any]:
        """The resource's own properties."""
        return dict(self.body.get("properties", {}))


@dataclass(frozen=True)
class Module:
    """One use of a template.

    ``after`` is what Azure waits for, modules and ids of resources; ``reads`` the ids of resources of other modules.
    """

    name: str
    file: str
    scope: str
    parameters: Mapping[str, Any]
    after: frozenset[str]
    reads: set[str]


class Deployment:
    """What one parameters file deploys, with the variables of ``environment`` that it reads.

    ``changes`` has other texts for some files, by their path in the folder; ``values`` other values of parameters.
    """

    def __init__(
        self,
        folder: Path,
        parameters: str,
        changes: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        **values: Any,
    ) -> None:
        self.folder, self.changes, self.environment = folder.resolve(), dict(changes or {}), dict(environment or {})
        self.resources: list[Resource] = []
        self.modules: dict[str, Module] = {}
        self.versions: set[tuple[str, str]] = set()
        """Each type with the version it is used in, resources that exist before included."""
        file = self.folder / parameters
        statements = self.statements(file)
        using = next(statement for statement in statements if statement.kind == "using")
        own = _Scope(self, file, f"/subscriptions/{SUBSCRIPTION}")
        own.waiting = {s.name: s for s in statements if s.kind == "var"}
        wanted = {s.name: own.value(s.value) for s in statements if s.kind == "param" and s.value}
        main = (file.parent / using.ref).resolve()
        scopes = [own.value(s.value) for s in self.statements(main) if s.kind == "targetScope" and s.value]
        if scopes != ["subscription"]:
            raise BicepError(f"{main.name}: is not for a subscription")
        start = Module("main", main.name, own.scope, {**wanted, **values}, frozenset(), set())
        self.outputs = self.deploy(main, start)

    def text(self, file: Path) -> str:
        """The text of a file, changed or not. Raises BicepError when there is none."""
        path = file.resolve().relative_to(self.folder).as_posix()
        if path in self.changes:
            return self.changes[path]
        if not (self.folder / path).is_file():
            raise BicepError(f"there is no file {path}")
        return (self.folder / path).read_text()

    def statements(self, file: Path) -> list[Statement]:
        """The statements of a file."""
        return _read(self.text(file), file.name)

    def deploy(self, file: Path, module: Module) -> dict[str, Any]:
        """Adds a template's resources; the values of its outputs."""
        self.modules[module.name] = module
        inside = _Scope(self, file, module.scope)
        inside.declare(self.statements(file), module)
        return {s.name: inside.value(s.value) for s in self.statements(file) if s.kind == "output" and s.value}

    def of(self, type_: str) -> list[Resource]:
        """The resources of a type, by its name as in ``Microsoft.Storage/storageAccounts``."""
        return [resource for resource in self.resources if resource.type == type_]


@lru_cache(maxsize=512)
def _read(text: str, file: str) -> list[Statement]:
    return read(text, file)


@dataclass(frozen=True)
class _Symbol:
    """A resource or module as expressions see it."""

    id: str
    name: str
    kind: str


class _Scope:
    """The names of one file, worked out when they are asked for."""

    def __init__(self, deployment: Deployment, file: Path, scope: str) -> None:
        self.deployment, self.file, self.scope = deployment, file, scope
        self.module = ""
        self.values: dict[str, Any] = {}
        self.waiting: dict[str, Statement] = {}
        self.busy: set[str] = set()

    def fail(self, line: int, problem: str) -> BicepError:
        return BicepError(f"{self.file.name}:{line}: {problem}")

    # ---- statements ----

    def declare(self, statements: list[Statement], module: Module) -> None:
        """Takes the parameters, then works out every resource and module."""
        self.module = module.name
        declared = {s.name: s for s in statements if s.kind == "param"}
        if unknown := sorted(set(module.parameters) - set(declared)):
            raise BicepError(f"{self.file.name}: there is no parameter {', '.join(unknown)}")
        for parameter in declared.values():
            self.values[parameter.name] = self.parameter(parameter, module.parameters)
        self.waiting = {s.name: s for s in statements if s.kind in ("var", "resource", "module")}
        for statement in statements:
            if statement.kind in ("var", "resource", "module"):
                self.named(statement.name, statement.line)

    def parameter(self, parameter: Statement, given: Mapping[str, Any]) -> Any:
        if parameter.name in given:
            value = given[parameter.name]
        elif parameter.value is not None:
            value = self.value(parameter.value)
        else:
            raise self.fail(parameter.line, f"the parameter {parameter.name} is not given")
        wanted = _TYPES.get(parameter.type)
        if wanted is None or type(value) not in (wanted, Runtime if wanted is str else wanted):
            raise self.fail(parameter.line, f"{parameter.name} is {value!r}, which is no {parameter.type}")
        if allowed := parameter.decorators.get("allowed"):
            choices = self.value(allowed.parts[1])
            if value not in choices:
                raise self.fail(parameter.line, f"{parameter.name} is {value!r}, which is none of {choices}")
        size = value if isinstance(value, int) else len(value)
        for limit, broken in _LIMITS.items():
            if (found := parameter.decorators.get(limit)) and broken(size, self.value(found.parts[1])):
                raise self.fail(parameter.line, f"{parameter.name} is {value!r}, against its {limit}")
        return str(value) if isinstance(value, Runtime) else value  # a module starts when what it is given is known

    def named(self, name: str, line: int) -> Any:
        if name not in self.values:
            if name not in self.waiting:
                raise self.fail(line, f"{name} is not defined")
            if name in self.busy:
                raise self.fail(line, f"{name} refers to itself")
            self.busy.add(name)
            statement = self.waiting[name]
            assert statement.value is not None
            if statement.kind == "var":
                self.values[name] = self.value(statement.value)
            else:
                self.values[name] = self.symbols(statement, statement.value)
        return self.values[name]

    def symbols(self, statement: Statement, value: Expression) -> Any:
        """A resource or module, or the list that a loop makes of them; None for one whose condition is false."""
        if value.kind == "for":
            names, source, body = value.parts
            return [self.withnames_in(bound).symbols(statement, body) for bound in self.rounds(names, source)]
        if value.kind == "if":
            condition, body = value.parts
            return self.symbols(statement, body) if self.value(condition) else None
        if statement.kind == "module":
            return self.one_module(statement, value)
        return self.one_resource(statement, value)

    def rounds(self, names: tuple[str, ...], source: Expression) -> Iterator[dict[str, Any]]:
        for index, item in enumerate(self.value(source)):
            yield dict(zip(names, (item, index), strict=False))

    def withnames_in(self, bound: Mapping[str, Any]) -> "_Scope":
        inner = _Scope(self.deployment, self.file, self.scope)
        inner.module, inner.waiting, inner.busy = self.module, self.waiting, self.busy
        inner.values = _Layered(self.values, bound)
        return inner

    def one_module(self, statement: Statement, value: Expression) -> _Symbol:
        parts = self.parts(value, {"name", "scope", "params", "dependsOn"})
        name = self.known(parts["name"], f"the name of module {statement.name}")
        scope = self.value(parts["scope"]).id if "scope" in parts else self.scope
        given = self.value(parts["params"]) if "params" in parts else {}
        file = (self.file.parent / statement.ref).resolve()
        module = Module(name, file.name, scope, given, self.waits(parts), set())
        self.deployment.deploy(file, module)
        return _Symbol(f"{scope}/providers/Microsoft.Resources/deployments/{name}", name, "module")

    def parts(self, value: Expression, known: set[str]) -> dict[str, Expression]:
        """The properties at the top of a resource or module, of which only these are ``known``."""
        parts = {key.parts[0]: entry for key, entry in value.parts}
        if unknown := sorted(set(parts) - known):
            raise self.fail(value.line, f"there is no property {', '.join(unknown)} at the top")
        if "name" not in parts:
            raise self.fail(value.line, "it has no name")
        return parts

    def waits(self, parts: Mapping[str, Expression]) -> frozenset[str]:
        """What is waited for: all that dependsOn names, and the modules whose outputs are used."""
        found: set[str] = set()
        for one in parts["dependsOn"].parts if "dependsOn" in parts else ():
            symbol = self.value(one)
            for each in symbol if isinstance(symbol, list) else [symbol]:
                if each is not None:
                    found.add(each.name if each.kind == "module" else each.id)
        for name in names_in(parts.get("params")):
            if name in self.waiting and self.waiting[name].kind == "module":
                found.add(self.named(name, 0).name)
        return frozenset(found)

    def one_resource(self, statement: Statement, value: Expression) -> _Symbol:
        type_, _, version = statement.ref.partition("@")
        parts = self.parts(value, _META | (set() if statement.existing else _TOP))
        name = self.known(parts["name"], f"the name of {statement.name}")
        extended, id_ = self.place(type_, name, parts)
        self.deployment.versions.add((type_, version))
        if statement.existing:
            self.deployment.modules[self.module].reads.add(id_)
        else:
            body = {key: self.value(entry) for key, entry in parts.items() if key not in _META}
            after = self.waits(parts)
            self.deployment.resources.append(Resource(type_, version, name, id_, extended, body, self.module, after))
        return _Symbol(id_, name, "resource")

    def place(self, type_: str, name: str, parts: Mapping[str, Expression]) -> tuple[str, str]:
        """(the id of what the resource extends, its own id)."""
        if "parent" in parts:
            parent = self.value(parts["parent"])
            if parent is None:
                raise self.fail(parts["parent"].line, "its parent is not deployed")
            return "", f"{parent.id}/{type_.rpartition('/')[2]}/{name}"
        if "scope" in parts:
            scope = self.value(parts["scope"])
            if scope is None:
                raise self.fail(parts["scope"].line, "what it extends is not deployed")
            extends = scope.kind == "resource"
            return (scope.id if extends else ""), f"{scope.id}/providers/{type_}/{name}"
        if type_ == "Microsoft.Resources/resourceGroups":
            return "", f"{self.scope}/resourceGroups/{name}"
        return "", f"{self.scope}/providers/{type_}/{name}"

    def known(self, value: Expression, what: str) -> str:
        found = self.value(value)
        if isinstance(found, Runtime) or not isinstance(found, str):
            raise self.fail(value.line, f"{what} is not known before the deployment: {found!r}")
        return found

    # ---- expressions ----

    def value(self, expression: Expression) -> Any:
        """What an expression stands for."""
        return getattr(self, f"_{expression.kind}")(expression)

    def _literal(self, expression: Expression) -> Any:
        return expression.parts[0]

    def _string(self, expression: Expression) -> str:
        parts = [part if isinstance(part, str) else self.value(part) for part in expression.parts]
        text = "".join(str(part) for part in parts)
        return Runtime(text) if any(isinstance(part, Runtime) for part in parts) else text

    def _object(self, expression: Expression) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in expression.parts:
            name = self.value(key)
            if name in found:
                raise self.fail(key.line, f"{name} is there twice")
            found[name] = self.value(value)
        return found

    def _array(self, expression: Expression) -> list[Any]:
        return [self.value(part) for part in expression.parts]

    def _for(self, expression: Expression) -> list[Any]:
        names, source, body = expression.parts
        return [self.withnames_in(bound).value(body) for bound in self.rounds(names, source)]

    def _choice(self, expression: Expression) -> Any:
        condition, chosen, other = expression.parts
        return self.value(chosen if self.value(condition) else other)

    def _unary(self, expression: Expression) -> Any:
        sign, inner = expression.parts
        return (not self.value(inner)) if sign == "!" else -self.value(inner)

    def _binary(self, expression: Expression) -> Any:
        sign, left, right = expression.parts
        if sign == "??":
            first = self.value(left)
            return self.value(right) if first is None else first
        if sign in ("&&", "||"):
            first = self.value(left)
            return self.value(right) if first is (sign == "&&") else first
        return _BINARY[sign](self.value(left), self.value(right))

    def _name(self, expression: Expression) -> Any:
        return self.named(expression.parts[0], expression.line)

    def _index(self, expression: Expression) -> Any:
        outer, key = (self.value(part) for part in expression.parts)
        return self.inside(outer, key, expression.line)

    def _member(self, expression: Expression) -> Any:
        return self.inside(self.value(expression.parts[0]), expression.parts[1], expression.line)

    def _maybe(self, expression: Expression) -> Any:
        outer = self.value(expression.parts[0])
        return outer.get(expression.parts[1]) if isinstance(outer, dict) else None

    def inside(self, outer: Any, key: Any, line: int) -> Any:
        if isinstance(outer, _Symbol):
            if key in ("id", "name"):
                return getattr(outer, key)
            return Runtime(f"{outer.id}.{key}")
        if isinstance(outer, Runtime):
            return Runtime(f"{outer}.{key}")
        try:
            return outer[key]
        except (KeyError, IndexError, TypeError):
            raise self.fail(line, f"there is no {key!r}") from None

    def _call(self, expression: Expression) -> Any:
        name, *arguments = expression.parts
        values = [self.value(argument) for argument in arguments]
        if name in ("loadTextContent", "loadJsonContent"):
            text = self.deployment.text(self.file.parent / values[0])
            return text if name == "loadTextContent" else json.loads(text)
        if name == "readEnvironmentVariable" and self.file.suffix == ".bicepparam":
            if values[0] not in self.deployment.environment:
                raise self.fail(expression.line, f"the environment has no variable {values[0]}")
            return self.deployment.environment[values[0]]
        if name == "resourceGroup":
            return self.resource_group(*values)
        if name == "resourceId":
            return self.resource_id(values)
        if name not in _FUNCTIONS:
            raise self.fail(expression.line, f"the function {name} is not known here")
        if any(isinstance(value, Runtime) for value in values) and name in ("guid", "uniqueString"):
            raise self.fail(expression.line, f"{name} of something that is not known before the deployment")
        try:
            return _FUNCTIONS[name](*values)
        except ValueError as problem:
            raise self.fail(expression.line, f"{name}: {problem}") from None

    def resource_group(self, name: str | None = None) -> _Symbol:
        if name is None:
            return _Symbol(self.scope, self.scope.rpartition("/")[2], "group")
        return _Symbol(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}", name, "group")

    def resource_id(self, values: list[str]) -> str:
        """``resourceId([subscription, group,] type, name)``."""
        *place, type_, name = values
        scope = f"/subscriptions/{place[0]}/resourceGroups/{place[1]}" if len(place) == 2 else self.scope
        return f"{scope}/providers/{type_}/{name}"


def names_in(part: Any) -> Iterator[str]:
    """The names that an expression uses, those of its own loops included."""
    if isinstance(part, Expression):
        if part.kind == "name":
            yield part.parts[0]
        part = part.parts
    if isinstance(part, tuple):
        for inner in part:
            yield from names_in(inner)


class _Layered(dict[str, Any]):
    """Names of a loop over those of its file, which keeps what is worked out meanwhile."""

    def __init__(self, below: dict[str, Any], own: Mapping[str, Any]) -> None:
        super().__init__(own)
        self.below, self.own = below, set(own)

    def __contains__(self, key: object) -> bool:
        return key in self.own or key in self.below

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(key) if key in self.own else self.below[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.below[key] = value


_META = {"name", "parent", "scope", "dependsOn"}
_TOP = {"location", "tags", "sku", "kind", "identity", "zones", "properties"}
_LIMITS: dict[str, Callable[[int, int], bool]] = {
    "minLength": lambda size, limit: size < limit,
    "maxLength": lambda size, limit: size > limit,
    "minValue": lambda size, limit: size < limit,
    "maxValue": lambda size, limit: size > limit,
}
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
}


def _scoped(type_: str, name: str) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/providers/{type_}/{name}"


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else json.dumps(value)  # a bool becomes True, as in Azure


def _hashed(*values: str) -> str:
    """Like Azure's hash in what matters here: the same for the same values, and another one for others."""
    return uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(values)).hex


_SUFFIXES = {
    "storage": "core.windows.net",
    "sqlServerHostname": ".database.windows.net",
    "acrLoginServer": ".azurecr.io",
    "keyvaultDns": ".vault.azure.net",
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "concat": lambda *lists: [item for one in lists for item in one],
    "union": lambda *objects: {key: value for one in objects for key, value in one.items()},
    "empty": lambda value: not value,
    "replace": lambda text, old, new: text.replace(old, new),
    "join": lambda items, between: between.join(items),
    "trim": lambda text: text.strip(),
    "take": lambda text, length: text[:length],
    "json": json.loads,
    "any": lambda value: value,
    "string": _text,
    "guid": lambda *values: str(uuid.UUID(_hashed(*values))),
    "uniqueString": lambda *values: _hashed(*values)[:13],
    "subscriptionResourceId": _scoped,
    "tenantResourceId": lambda type_, name: f"/providers/{type_}/{name}",
    "subscription": lambda: {"id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION},
    "tenant": lambda: {"tenantId": TENANT},
    "environment": lambda: {
        "suffixes": _SUFFIXES,
        "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
    },
}
