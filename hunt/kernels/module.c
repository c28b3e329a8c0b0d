/* The module `_native`: what kernels there are, and how they are called. Their signatures are in _native.pyi. */

#include "kernels.h"

const char CALL_OUTSIDE[] = "bytes outside the data", CALL_MEMORY[] = "no memory";

static void release(struct call *call)
{
    int64_t place;
    for (place = 0; place < MOST_ARRAYS; place++)
        PyBuffer_Release(call->array + place); /* does nothing for those that were never taken */
    for (place = 0; place < call->shares; place++)
        PyBuffer_Release(call->shared + place);
}

static int take_number(struct call *call, int place, PyObject *given)
{
    call->number[place] = PyLong_AsLongLong(given);
    return call->number[place] != -1 || !PyErr_Occurred();
}

static int take_shared(struct call *call, PyObject *given)
{
    Py_ssize_t count = PyTuple_Size(given), place;
    if (count < 0)
        return 0;
    if (count > MOST_SHARED) {
        PyErr_SetString(PyExc_ValueError, "too many arrays");
        return 0;
    }
    for (place = 0; place < count; place++) {
        if (PyObject_GetBuffer(PyTuple_GetItem(given, place), call->shared + place, PyBUF_SIMPLE) < 0)
            return 0;
        call->shares++;
    }
    return 1;
}

int call_begin(struct call *call, PyObject *const *given, Py_ssize_t count, const char *kinds)
{
    int place, arrays = 0, numbers = 0, right = 1;
    memset(call->array, 0, sizeof call->array);
    call->shares = 0;
    call->fault = NULL;
    if (count != (Py_ssize_t)strlen(kinds)) {
        PyErr_SetString(PyExc_TypeError, "another number of arguments");
        return 0;
    }
    for (place = 0; place < count && right; place++) {
        if (kinds[place] == 'n')
            right = take_number(call, numbers++, given[place]);
        else if (kinds[place] == 't')
            right = take_shared(call, given[place]);
        else
            right = PyObject_GetBuffer(given[place], call->array + arrays++,
                                       kinds[place] == 'w' ? PyBUF_WRITABLE : PyBUF_SIMPLE) == 0;
    }
    if (!right)
        release(call);
    return right;
}

PyObject *call_end(struct call *call, int64_t result)
{
    release(call);
    if (!call->fault)
        return PyLong_FromLongLong(result);
    PyErr_SetString(call->fault == CALL_MEMORY ? PyExc_MemoryError : PyExc_ValueError, call->fault);
    return NULL;
}

void *call_array(struct call *call, int place, int64_t count, int64_t width)
{
    const Py_buffer *given = call->array + place;
    if (count < 0 || given->len != count * width || (uintptr_t)given->buf % (uintptr_t)width != 0)
        call->fault = "an array of another size";
    return given->buf;
}

#define METHOD(name) {#name, (PyCFunction)(void (*)(void))kernel_##name, METH_FASTCALL, NULL}

static PyMethodDef methods[] = {
    METHOD(chains), METHOD(frames),  METHOD(instances), METHOD(same),  METHOD(named), METHOD(describe),
    METHOD(take),   METHOD(alike),     METHOD(group), METHOD(numbers), METHOD(times),
    METHOD(texts),  METHOD(guids),   METHOD(dictionary), METHOD(gather), {NULL, NULL, 0, NULL},
};

/* SOURCES: a checksum of what this was built of, from setup.py. */
static int told(PyObject *module) { return PyModule_AddIntConstant(module, "SOURCES", SOURCES); }

static PyModuleDef_Slot slots[] = {{Py_mod_exec, told}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_native", "Kernels of the EVTX decoder: see native.py.", 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module); }
