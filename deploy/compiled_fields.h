// Included into the C that mypyc makes of the rules (deploy/compiling.py). Nothing here changes what a program does;
// without it the compiled rules take a third longer.
//
// A field of a msgspec struct lies at a fixed place, but compiled code asks for it by name, 25 ns each time, where the
// interpreter's own instructions remember the place (LOAD_ATTR_SLOT, LOAD_GLOBAL_MODULE). These macros remember it
// likewise, for each place in the source that reads or writes a field: as long as an object has the very type that was
// seen there last, and that type is as it was then, the field is read where it was found. Whatever differs goes
// the ordinary way. The same for names of a module, a compiled one's own or those of another.
#include <Python.h>
#include <structmember.h>
#include <string.h>

#if !defined(Py_GIL_DISABLED) && !defined(PYPY_VERSION)

typedef struct {
    PyTypeObject *type;
    unsigned int version, offset;
} SeenField;

// As small as can be, and what is inlined as short: a few hundred of them share the nearest caches with everything else.
typedef struct {
    PyObject *name;  // the same each time but for getattr() and setattr()
    SeenField latest, other;  // an order posts or joins
} FieldPlace;

static inline int is_seen(const SeenField *seen, PyTypeObject *type) {
    return seen->type == type && seen->version == type->tp_version_tag;
}

static inline PyObject **field_at(PyObject *object, const SeenField *seen) {
    return (PyObject **)((char *)object + seen->offset);
}

// Returns the offset of a struct's field; 0 for whatever is none.
static unsigned int struct_field(PyTypeObject *type, PyObject *name) {
    if (strcmp(Py_TYPE(type)->tp_name, "msgspec._core.StructMeta") != 0 || type->tp_getattro != PyObject_GenericGetAttr)
        return 0;
    PyObject *found = _PyType_Lookup(type, name);  // which gives the type a version
    if (found == NULL || !Py_IS_TYPE(found, &PyMemberDescr_Type) || type->tp_version_tag == 0) return 0;
    PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
    return member->type == T_OBJECT_EX && member->flags == 0 ? (unsigned int)member->offset : 0;
}

static void remember_field(FieldPlace *place, PyTypeObject *type, PyObject *name, unsigned int offset) {
    if (place->name != name) {
        Py_INCREF(name);  // so that no other text can come to lie where it lies
        Py_XSETREF(place->name, name);
        place->latest = (SeenField){0};
    }
    place->other = place->latest;
    place->latest = (SeenField){type, type->tp_version_tag, offset};
}

#if PY_VERSION_HEX < 0x030C0000  // later ones count changes of a dict in another way

typedef struct {
    PyObject *names, *key, *value;
    uint64_t version;
    int is_dict_of_values;
} NamePlace;

static inline int is_known(const NamePlace *place, PyObject *names, PyObject *key) {
    return place->names == names && place->key == key && place->version == ((PyDictObject *)names)->ma_version_tag;
}

static void remember_name(NamePlace *place, PyObject *names, PyObject *key, PyObject *value) {
    Py_INCREF(key);
    Py_XSETREF(place->key, key);
    place->names = names;
    place->value = value;  // which its dict holds as long as it has this version
    place->version = ((PyDictObject *)names)->ma_version_tag;
}

// Returns what a module that is not compiled has under a name.
static PyObject *read_of_module(PyObject *module, PyObject *name, NamePlace *place) {
    PyObject *names = PyModule_GetDict(module);
    if (is_known(place, names, name)) {
        Py_INCREF(place->value);
        return place->value;
    }
    PyObject *value = PyObject_GetAttr(module, name);
    if (value != NULL && PyDict_GetItem(names, name) == value && _PyType_Lookup(&PyModule_Type, name) == NULL)
        remember_name(place, names, name, value);
    return value;
}

#else

typedef struct {
    char nothing;
} NamePlace;

#define read_of_module(module, name, place) PyObject_GetAttr((module), (name))

#endif

static __attribute__((noinline)) PyObject *read_field_slowly(
    PyObject *object, PyObject *name, FieldPlace *place, NamePlace *of_module
) {
    PyTypeObject *type = Py_TYPE(object);
    if (PyModule_CheckExact(object)) return read_of_module(object, name, of_module);
    if (place->name == name && is_seen(&place->other, type) && *field_at(object, &place->other) != NULL) {
        PyObject *value = *field_at(object, &place->other);
        Py_INCREF(value);
        return value;
    }
    PyObject *value = PyObject_GetAttr(object, name);
    unsigned int offset = value == NULL ? 0 : struct_field(type, name);
    if (offset != 0) remember_field(place, type, name, offset);
    return value;
}

static inline PyObject *read_field(PyObject *object, PyObject *name, FieldPlace *place, NamePlace *of_module) {
    if (place->name == name && is_seen(&place->latest, Py_TYPE(object))) {
        PyObject *value = *field_at(object, &place->latest);
        if (value != NULL) {  // else unset: the ordinary way raises
            Py_INCREF(value);
            return value;
        }
    }
    return read_field_slowly(object, name, place, of_module);
}

static inline void put(PyObject **at, PyObject *value) {
    PyObject *old = *at;
    Py_INCREF(value);
    *at = value;
    Py_XDECREF(old);
}

// msgspec has the collector look at a struct from the first value on that it must look at.
static inline int can_put(PyObject *object, PyObject *value) {
    return value != NULL && (!PyType_IS_GC(Py_TYPE(object)) || PyObject_GC_IsTracked(object));
}

static __attribute__((noinline)) int write_field_slowly(
    PyObject *object, PyObject *name, PyObject *value, FieldPlace *place
) {
    PyTypeObject *type = Py_TYPE(object);
    if (place->name == name && is_seen(&place->other, type) && can_put(object, value)) {
        put(field_at(object, &place->other), value);
        return 0;
    }
    if (PyObject_SetAttr(object, name, value) < 0) return -1;  // as frozen structs do
    unsigned int offset = value == NULL ? 0 : struct_field(type, name);
    // A method written in Python may do more than store.
    PyObject *setter = offset != 0 ? PyObject_GetAttrString((PyObject *)type, "__setattr__") : NULL;
    if (setter != NULL && Py_IS_TYPE(setter, &PyWrapperDescr_Type)) remember_field(place, type, name, offset);
    Py_XDECREF(setter);
    PyErr_Clear();
    return 0;
}

static inline int write_field(PyObject *object, PyObject *name, PyObject *value, FieldPlace *place) {
    if (place->name == name && is_seen(&place->latest, Py_TYPE(object)) && can_put(object, value)) {
        put(field_at(object, &place->latest), value);
        return 0;
    }
    return write_field_slowly(object, name, value, place);
}

#undef CPyObject_GetAttr
#define CPyObject_GetAttr(object, name)                       \
    ({                                                        \
        static FieldPlace place;                              \
        static NamePlace of_module;                           \
        read_field((object), (name), &place, &of_module);     \
    })

#define PyObject_SetAttr(object, name, value)             \
    ({                                                    \
        static FieldPlace place;                          \
        write_field((object), (name), (value), &place);   \
    })

#if PY_VERSION_HEX < 0x030C0000

static __attribute__((noinline)) PyObject *read_name_slowly(PyObject *names, PyObject *key, NamePlace *place) {
    PyObject *value = CPyDict_GetItem(names, key);
    if (value == NULL || !PyDict_CheckExact(names)) return value;
    // One place in the source reads either names of a module or values of a dict that changes.
    if (place->key == NULL) place->is_dict_of_values = PyDict_GetItemString(names, "__spec__") == NULL;
    if (!place->is_dict_of_values) remember_name(place, names, key, value);
    return value;
}

static inline PyObject *read_name(PyObject *names, PyObject *key, NamePlace *place) {
    if (is_known(place, names, key)) {
        Py_INCREF(place->value);
        return place->value;
    }
    return place->is_dict_of_values ? CPyDict_GetItem(names, key) : read_name_slowly(names, key, place);
}

#define CPyDict_GetItem(names, key)            \
    ({                                         \
        static NamePlace place;                \
        read_name((names), (key), &place);     \
    })

#endif
#endif
