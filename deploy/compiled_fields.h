// Included into the C that mypyc makes of the rules (deploy/compiling.py). Nothing here changes what a program does;
// without it the compiled rules take a third longer.
//
// A field of a msgspec struct lies at a fixed place, but compiled code asks for it by name, 25 ns each time, where the
// interpreter's own instructions remember the place (LOAD_ATTR_SLOT, LOAD_GLOBAL_MODULE). These macros remember it
// likewise, for each place in the source that reads or writes a field: as long as an object has the very type that was
// seen there last, and that type is as it was then, the field is read where it was found. Whatever differs goes
// the ordinary way. The same for names of a module.
#include <Python.h>
#include <structmember.h>
#include <string.h>

#if !defined(Py_GIL_DISABLED) && !defined(PYPY_VERSION)

#define SEEN 2  // types remembered at one place: an order posts or joins

typedef struct {
    PyObject *name[SEEN];  // the same each time but for getattr() and setattr()
    PyTypeObject *type[SEEN];
    unsigned int version[SEEN];
    Py_ssize_t offset[SEEN];
    unsigned int next;
} FieldPlace;

static inline int field_is_at(const FieldPlace *place, int i, PyTypeObject *type, PyObject *name) {
    return place->type[i] == type && place->version[i] == type->tp_version_tag && place->name[i] == name;
}

// Returns the offset of a struct's field; -1 for whatever is none.
static Py_ssize_t struct_field(PyTypeObject *type, PyObject *name) {
    if (strcmp(Py_TYPE(type)->tp_name, "msgspec._core.StructMeta") != 0 || type->tp_getattro != PyObject_GenericGetAttr)
        return -1;
    PyObject *found = _PyType_Lookup(type, name);  // which gives the type a version
    if (found == NULL || !Py_IS_TYPE(found, &PyMemberDescr_Type) || type->tp_version_tag == 0)
        return -1;
    PyMemberDef *member = ((PyMemberDescrObject *)found)->d_member;
    return member->type == T_OBJECT_EX && member->flags == 0 ? member->offset : -1;
}

static void remember_field(FieldPlace *place, PyTypeObject *type, PyObject *name, Py_ssize_t offset) {
    unsigned int i = place->next++ % SEEN;
    Py_INCREF(name);  // so that no other text can come to lie where it lies
    Py_XSETREF(place->name[i], name);
    place->type[i] = type;
    place->version[i] = type->tp_version_tag;
    place->offset[i] = offset;
}

static __attribute__((noinline)) PyObject *read_field_slowly(PyObject *object, PyObject *name, FieldPlace *place) {
    PyObject *value = PyObject_GetAttr(object, name);
    if (value != NULL) {
        Py_ssize_t offset = struct_field(Py_TYPE(object), name);
        if (offset > 0) remember_field(place, Py_TYPE(object), name, offset);
    }
    return value;
}

static inline PyObject *read_field(PyObject *object, PyObject *name, FieldPlace *place) {
    PyTypeObject *type = Py_TYPE(object);
    for (int i = 0; i < SEEN; i++) {
        if (field_is_at(place, i, type, name)) {
            PyObject *value = *(PyObject **)((char *)object + place->offset[i]);
            if (value != NULL) {  // else unset: the ordinary way raises
                Py_INCREF(value);
                return value;
            }
        }
    }
    return read_field_slowly(object, name, place);
}

static __attribute__((noinline)) int write_field_slowly(
    PyObject *object, PyObject *name, PyObject *value, FieldPlace *place
) {
    if (PyObject_SetAttr(object, name, value) < 0) return -1;  // as frozen structs do
    Py_ssize_t offset = value == NULL ? -1 : struct_field(Py_TYPE(object), name);
    // A method written in Python may do more than store.
    PyObject *setter = offset > 0 ? PyObject_GetAttrString((PyObject *)Py_TYPE(object), "__setattr__") : NULL;
    if (setter != NULL && Py_IS_TYPE(setter, &PyWrapperDescr_Type)) remember_field(place, Py_TYPE(object), name, offset);
    Py_XDECREF(setter);
    PyErr_Clear();
    return 0;
}

static inline int write_field(PyObject *object, PyObject *name, PyObject *value, FieldPlace *place) {
    PyTypeObject *type = Py_TYPE(object);
    for (int i = 0; i < SEEN; i++) {
        // msgspec has the collector look at a struct from the first value on that it must look at.
        if (field_is_at(place, i, type, name) && value != NULL && (!PyType_IS_GC(type) || PyObject_GC_IsTracked(object))) {
            PyObject **at = (PyObject **)((char *)object + place->offset[i]);
            PyObject *old = *at;
            Py_INCREF(value);
            *at = value;
            Py_XDECREF(old);
            return 0;
        }
    }
    return write_field_slowly(object, name, value, place);
}

#undef CPyObject_GetAttr
#define CPyObject_GetAttr(object, name)           \
    ({                                            \
        static FieldPlace place;                  \
        read_field((object), (name), &place);     \
    })

#define PyObject_SetAttr(object, name, value)             \
    ({                                                    \
        static FieldPlace place;                          \
        write_field((object), (name), (value), &place);   \
    })

#if PY_VERSION_HEX < 0x030C0000  // later ones count changes of a dict in another way

typedef struct {
    PyObject *names, *key, *value;
    uint64_t version;
    int is_dict_of_values;
} NamePlace;

static __attribute__((noinline)) PyObject *read_name_slowly(PyObject *names, PyObject *key, NamePlace *place) {
    PyObject *value = CPyDict_GetItem(names, key);
    if (value == NULL || !PyDict_CheckExact(names)) return value;
    // One place in the source reads either names of a module or values of a dict that changes.
    if (place->key == NULL) place->is_dict_of_values = PyDict_GetItemString(names, "__spec__") == NULL;
    if (!place->is_dict_of_values) {
        place->names = names;
        place->key = key;
        place->value = value;  // which its dict holds as long as it has this version
        place->version = ((PyDictObject *)names)->ma_version_tag;
    }
    return value;
}

static inline PyObject *read_name(PyObject *names, PyObject *key, NamePlace *place) {
    if (place->names == names && place->key == key && place->version == ((PyDictObject *)names)->ma_version_tag) {
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
