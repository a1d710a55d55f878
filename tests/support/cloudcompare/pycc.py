"""A stand-in for pycc, the module of CloudCompare's Python plugin: it is in no package index, and wants CloudCompare.

It has what the plugin uses and nothing else, and holds to these rules of the sources. The words in quotes stand in

    L  github.com/tmontaigu/CloudCompare-PythonRuntime/blob/08358091fa02bdeba922e4ae83efc9a3f7940cad (CloudCompare 2.13)
    N  github.com/tmontaigu/CloudCompare-PythonRuntime/blob/581d0704655d5c595f928e065070053a0b4cb6b7 (later)
    O  github.com/tmontaigu/CloudCompare-PythonRuntime/blob/fe05e74b7ae5d3e4af2d1aaabfa09f40f9941943
    G  github.com/tmontaigu/CloudCompare-PythonRuntime/blob/18091c63a02c137db6a3214b279e79f2e2aba645
    C  github.com/CloudCompare/CloudCompare/blob, with the first digits of a commit

- arguments have the types that are declared; names are text: L/wrapper/pycc/src/casters.h "type_caster<QString>"
- a plugin's class calls its base's __init__: pybind11 "must be called when overriding __init__"
- an action has a name and a target: L/src/Runtime/Runtime.cpp "py::init<QString, py::object, py::object>"
- an entry point is "module:class", which is made without arguments; one that cannot be imported is no more than a
  warning in the console: L/src/PythonPluginManager.cpp "loadPluginsFromEntryPoints", "Failed to instantiate plugin"
- what an action raises is an error: L/src/PythonInterpreter.cpp "Failed to start Python actions"
- an error is shown in a window, too: C/008cb29e4722/qCC/ccConsole.cpp "popup dialog"
- points: float32 (n, 3), a view that cannot be written: L/wrapper/pycc/src/qcc_db/ccPointCloud.cpp "writeable"
- a cloud is made of a name, or of three arrays, which are copied: the same file "py::init("
- setColor takes four numbers from 0 to 255, and makes room for a colour a point: the same file "setColor", and
  C/master/libs/qCC_db/src/ccPointCloud.cpp "bool ccPointCloud::setColor", C/09c26cf73c15/.../ccArray.h "fill"
- colors: uint8 (n, 4), a view, None without colours: L/wrapper/pycc/src/qcc_db/ccPointCloud.cpp "4u1"
- normals: a copy, setNormals: (n, 3); not in L: N/wrapper/pycc/src/qcc_db/ccPointCloud.cpp "setNormals", "**copy**"
- addScalarField: the index; RuntimeError where the name is taken: L/wrapper/cccorelib/src/wrappers.h "Failed to add"
- getScalarField: None for an index that there is not: the same file "If index is invalid, None is returned"
- asArray: float32, a view: the same file "VectorAsNumpyArray"
- the least and largest value are those of the last computeMinAndMax: O/wrapper/cccorelib/src/ScalarField.cpp "getMin"
- up to 2.13 a field's shift is no part of its values: C/2664057c2519/.../ccScalarField.h "m_globalShift"; later its
  offset is: github.com/CloudCompare/CCCoreLib/blob/06936c8bc5a8/include/ScalarField.h "m_offset + (*this)[index]"
- in the world, a point is at P / scale - shift: C/2fdb4b740986/.../ccShiftedObject.h "Plocal/scale - shift"
- a shift has x, y and z, and is no sequence: L/wrapper/cccorelib/src/CCGeom.cpp "DEFINE_TUPLE3TPL"
- addChild makes the parent that getParent returns, None without one: O/wrapper/pycc/src/qcc_db/ccObject.cpp "addChild"
- addToDB: RuntimeError for what is no object of CloudCompare's: L/src/Runtime/ccGuiPythonInstance.cpp "Cannot add"
- a window of progress has update, setMethodTitle, start, stop, isCancelRequested:
  L/wrapper/pycc/src/qcc_db/ccProgressDialog.cpp, G/wrapper/cccorelib/src/GenericProgressCallback.cpp
- clicks are heard while events are processed: L/src/Runtime/Runtime.cpp "ProcessEvents"
- RunInThread, which the plugin does not use, loses what an error says: L/src/Runtime/Threading.h "ThreadException"
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np

_IDS = itertools.count(1)


def _is(value: object, *kinds: type) -> Any:
    """The value, if pybind11 would take it for one of the kinds."""
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise TypeError(f"incompatible function arguments: {value!r} is no {kinds}")
    return value


class PythonPluginInterface:
    def __init__(self) -> None:
        self.made = True

    def getActions(self) -> list[Action]:
        raise RuntimeError('Tried to call pure virtual function "PythonPluginInterface::getActions"')


class Action:
    def __init__(self, name: str, target: Callable[[], None], icon: object = None) -> None:
        self.name, self.target, self.icon = _is(name, str), target, icon


class ccLog:
    """``said``: what stood in the console, by its level; errors were in a window, too."""

    said: list[tuple[str, str]] = []  # noqa: RUF012  # of the one console that there is

    @staticmethod
    def Print(message: str) -> bool:
        ccLog.said.append(("standard", _is(message, str)))
        return True

    @staticmethod
    def Warning(message: str) -> bool:
        ccLog.said.append(("warning", _is(message, str)))
        return False

    @staticmethod
    def Error(message: str) -> bool:
        ccLog.said.append(("error", _is(message, str)))
        return False


class CCVector3d:
    def __init__(self, x: float, y: float, z: float) -> None:
        self.x, self.y, self.z = (float(_is(one, int, float)) for one in (x, y, z))

    def __getitem__(self, index: int) -> float:
        if index > 2:
            raise IndexError("index out of range")
        return (self.x, self.y, self.z)[index]


class ccHObject:
    def __init__(self, name: str = "") -> None:
        self._name: str = _is(name, str)
        self._id, self._enabled = next(_IDS), True
        self._parent: ccHObject | None = None
        self._children: list[ccHObject] = []

    def getName(self) -> str:
        return self._name

    def setName(self, name: str) -> None:
        self._name = _is(name, str)

    def getUniqueID(self) -> int:
        return self._id

    def isEnabled(self) -> bool:
        return self._enabled

    def setEnabled(self, state: bool) -> None:
        self._enabled = _is(state, bool)

    def isGroup(self) -> bool:
        return type(self) is ccHObject

    def getParent(self) -> ccHObject | None:
        return self._parent

    def addChild(self, child: ccHObject) -> bool:
        _is(child, ccHObject)._parent = self
        self._children.append(child)
        return True

    def getChildrenNumber(self) -> int:
        return len(self._children)

    def getChild(self, child: int) -> ccHObject:
        return self._children[child]


class ccMesh(ccHObject):
    pass


class ccScalarField:
    def __init__(self, name: str, size: int) -> None:
        self._name: str = name
        self._values, self._shift = np.full(size, np.nan, np.float32), 0.0
        self._least = self._largest = 0.0
        self._steps = 256

    def getName(self) -> str:
        return self._name

    def asArray(self) -> Any:
        return self._values

    def getValue(self, index: int) -> float:
        return float(self._values[index])

    def computeMinAndMax(self) -> None:
        finite = self._values[np.isfinite(self._values)]
        self._least, self._largest = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)

    def getMin(self) -> float:
        return self._least

    def getMax(self) -> float:
        return self._largest

    def getGlobalShift(self) -> float:
        return self._shift

    def setGlobalShift(self, state: float) -> None:
        self._shift = float(_is(state, float, int))

    def getColorRampSteps(self) -> int:
        return self._steps

    def setColorRampSteps(self, steps: int) -> None:
        self._steps = _is(steps, int)

    def importParametersFrom(self, sf: ccScalarField) -> None:
        self._steps = _is(sf, ccScalarField)._steps


class ccPointCloud(ccHObject):
    def __init__(self, *given: Any) -> None:
        super().__init__(*(given if len(given) != 3 else ()))
        columns = [np.asarray(one, np.float32) for one in given] if len(given) == 3 else [np.zeros(0, np.float32)] * 3
        if len({len(column) for column in columns}) != 1:
            raise ValueError("xs, ys, zs must have the same size")
        self._points = np.column_stack(columns)
        self._fields: list[ccScalarField] = []
        self._colours: Any = None
        self._normals: Any = None
        self._shift, self._scale = CCVector3d(0, 0, 0), 1.0
        self._displayed = -1
        self._shown = {"colours": False, "normals": False, "field": False}

    def size(self) -> int:
        return len(self._points)

    def points(self) -> Any:
        view = self._points.view()
        view.flags.writeable = False
        return view

    def getGlobalShift(self) -> CCVector3d:
        return self._shift

    def setGlobalShift(self, x_: float, y: float, z: float) -> None:
        self._shift = CCVector3d(x_, y, z)

    def getGlobalScale(self) -> float:
        return self._scale

    def setGlobalScale(self, scale: float) -> None:
        self._scale = float(_is(scale, float, int))

    def copyGlobalShiftAndScale(self, s: ccPointCloud) -> None:
        self._shift, self._scale = _is(s, ccPointCloud)._shift, s._scale

    def getNumberOfScalarFields(self) -> int:
        return len(self._fields)

    def getScalarField(self, index: int) -> ccScalarField | None:
        return self._fields[index] if 0 <= index < len(self._fields) else None

    def getScalarFieldName(self, index: int) -> str:
        return self._fields[index].getName()

    def getScalarFieldIndexByName(self, name: str) -> int:
        names = [field.getName() for field in self._fields]
        return names.index(name) if _is(name, str) in names else -1

    def addScalarField(self, name: str) -> int:
        if self.getScalarFieldIndexByName(name) != -1:
            raise RuntimeError("Failed to add scalar field")
        self._fields.append(ccScalarField(name, len(self._points)))
        return len(self._fields) - 1

    def getCurrentDisplayedScalarFieldIndex(self) -> int:
        return self._displayed

    def setCurrentDisplayedScalarField(self, index: int) -> None:
        self._displayed = _is(index, int)

    def hasColors(self) -> bool:
        return self._colours is not None

    def setColor(self, r: int, g: int, b: int, a: int) -> None:
        colour = [_is(one, int) for one in (r, g, b, a)]
        if not all(0 <= one <= 255 for one in colour):
            raise TypeError("incompatible function arguments")
        self._colours = np.tile(np.array(colour, np.uint8), (len(self._points), 1))

    def colors(self) -> Any:
        return self._colours

    def hasNormals(self) -> bool:
        return self._normals is not None

    def normals(self) -> Any:
        return None if self._normals is None else self._normals.copy()

    def setNormals(self, normals: Any) -> None:
        given = np.array(normals, np.float32)
        if given.shape != self._points.shape:
            raise ValueError("The number of normals must match the number of points")
        self._normals = given

    def colorsShown(self) -> bool:
        return self._shown["colours"]

    def showColors(self, state: bool) -> None:
        self._shown["colours"] = _is(state, bool)

    def normalsShown(self) -> bool:
        return self._shown["normals"]

    def showNormals(self, state: bool) -> None:
        self._shown["normals"] = _is(state, bool)

    def sfShown(self) -> bool:
        return self._shown["field"]

    def showSF(self, state: bool) -> None:
        self._shown["field"] = _is(state, bool)


class ccProgressDialog:
    """``last``: the window that was opened last; ``click``: called while events are processed."""

    last: ccProgressDialog

    def __init__(self, cancelButton: bool = False) -> None:
        self.has_button, self.visible, self.cancelled = _is(cancelButton, bool), False, False
        self.shares: list[float] = []
        self.titles: list[str] = []
        ccProgressDialog.last = self

    def start(self) -> None:
        self.visible = True

    def stop(self) -> None:
        self.visible = False

    def update(self, percent: float) -> None:
        self.shares.append(float(_is(percent, float, int)))

    def setMethodTitle(self, methodTitle: str) -> None:
        self.titles.append(_is(methodTitle, str))

    def isCancelRequested(self) -> bool:
        return self.cancelled


class ccPythonInstance:
    """``tree``: what was added to the tree; ``selection``: what is selected."""

    def __init__(self) -> None:
        self.selection: list[ccHObject] = []
        self.tree: list[ccHObject] = []
        self.frozen = 0

    def getSelectedEntities(self) -> list[ccHObject]:
        return self.selection

    def addToDB(self, obj: ccHObject) -> None:
        if not isinstance(obj, ccHObject):
            raise RuntimeError("Cannot add to the DB a type that does not sub class ccHObject")
        self.tree.append(obj)

    def freezeUI(self, state: bool) -> None:
        self.frozen += 1 if _is(state, bool) else -1

    def updateUI(self) -> None:
        pass


_INSTANCE = ccPythonInstance()
#: What happens while events are processed: a user's clicks.
clicks: list[Callable[[], None]] = []


def GetInstance() -> ccPythonInstance:
    return _INSTANCE


def ProcessEvents() -> None:
    for click in clicks:
        click()


def loaded(entry: EntryPoint) -> list[Action] | None:
    """The actions of an entry point as CloudCompare makes them; None of one that vanishes, which the console tells."""
    pieces = entry.value.split(":")
    if len(pieces) != 2:
        ccLog.Warning(f"Malformed entry point specification for '{entry.name}'")
        return None
    try:
        plugin = getattr(importlib.import_module(pieces[0]), pieces[1])()
        if not hasattr(plugin, "made"):
            raise TypeError("PythonPluginInterface.__init__() must be called when overriding __init__")
        return [_is(action, Action) for action in plugin.getActions()]
    except Exception as error:
        ccLog.Warning(f"Failed to instantiate plugin named '{entry.name}' The error was: {error}")
        return None


def triggered(action: Action) -> None:
    """What a click on an action does."""
    try:
        action.target()
    except Exception as error:
        ccLog.Error(f"Failed to start Python actions: {error}")
