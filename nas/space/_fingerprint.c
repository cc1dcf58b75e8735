/* What fingerprint.py says of a graph, the same to the bit and ten times as fast. Optional: without it Python says it.

   Calls are opened while they are read, which changes no answer. Numbers are those of Python without its masks: sums
   and products count modulo 2^192, as only bits 64 to 191 of a product are kept. Where names leave twins alike, or it
   is open on which port a twin is read, the answer is None, and Python goes on from there. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef unsigned __int128 u128;
typedef struct { uint64_t w[3]; } u192;

enum { KEYS = 256, MOST = 1 << 26 };
static u192 odd, out, key[KEYS];

/* ---- arithmetic ---- */

static inline void add(u192 *a, u192 b)
{
    u128 sum = (u128)a->w[0] + b.w[0];
    a->w[0] = (uint64_t)sum;
    sum = (sum >> 64) + a->w[1] + b.w[1];
    a->w[1] = (uint64_t)sum;
    a->w[2] += b.w[2] + (uint64_t)(sum >> 64);
}

static inline u192 times(u192 a, u192 b)
{
    u128 p = (u128)a.w[0] * b.w[0], q = (u128)a.w[0] * b.w[1], r = (u128)a.w[1] * b.w[0];
    u128 middle = (p >> 64) + (uint64_t)q + (uint64_t)r;
    uint64_t high = (uint64_t)(middle >> 64) + (uint64_t)(q >> 64) + (uint64_t)(r >> 64);
    high += a.w[0] * b.w[2] + a.w[1] * b.w[1] + a.w[2] * b.w[0];
    return (u192){{(uint64_t)p, (uint64_t)middle, high}};
}

static inline u192 mixed(u192 said, u192 code)
{
    u192 more = said;
    add(&more, odd);
    u192 found = times((u192){{said.w[0] ^ code.w[0], said.w[1] ^ code.w[1], said.w[2]}}, more);
    return (u192){{found.w[1], found.w[2], 0}};
}

static inline int same(u192 a, u192 b) { return a.w[0] == b.w[0] && a.w[1] == b.w[1] && a.w[2] == b.w[2]; }

static int hex(char *text, u192 said)
{
    int i = 47, length = 0;
    while (i > 0 && (said.w[i / 16] >> (i % 16 * 4) & 15) == 0) i--;
    for (; i >= 0; i--) text[length++] = "0123456789abcdef"[said.w[i / 16] >> (i % 16 * 4) & 15];
    return length;
}

/* ---- memory, given back at the end all at once ---- */

typedef struct block { struct block *next; } block;
typedef struct { block *blocks; char *free; size_t left; char first[16384]; } arena;

static void *get(arena *a, size_t count, size_t size)
{
    size_t bytes = (count * size + 15) & ~(size_t)15;
    if (bytes > a->left) {
        size_t room = bytes > 65536 ? bytes : 65536;
        block *made = PyMem_Malloc(room + 32);
        if (made == NULL) return PyErr_NoMemory();
        made->next = a->blocks;
        a->blocks = made;
        a->free = (char *)(((uintptr_t)made + sizeof(block) + 15) & ~(uintptr_t)15);
        a->left = room;
    }
    char *found = a->free;
    a->free += bytes;
    a->left -= bytes;
    return memset(found, 0, bytes);
}

static void give_back(arena *a)
{
    while (a->blocks != NULL) {
        block *next = a->blocks->next;
        PyMem_Free(a->blocks);
        a->blocks = next;
    }
}

typedef struct { int *at, count, room; } numbers;

static int push(arena *a, numbers *n, int value)
{
    if (n->count == n->room) {
        if (n->room >= MOST) return PyErr_SetString(PyExc_ValueError, "expected fewer terms"), -1;
        int room = n->room ? 2 * n->room : 64, *at = get(a, room, sizeof(int));
        if (at == NULL) return -1;
        if (n->count) memcpy(at, n->at, n->count * sizeof(int));
        n->at = at;
        n->room = room;
    }
    n->at[n->count++] = value;
    return 0;
}

/* ---- the graph, opened ---- */

typedef struct { int begin, end; } range;
typedef struct { int term, port; } reader;

typedef struct {
    arena *a;
    int k, terms;  /* inputs; inputs and rows */
    numbers codes; /* by row: its block's code in four numbers */
    numbers free;  /* by row: its ports have no order */
    numbers ports; /* by row: where its ports begin in `port`; one more at the end */
    numbers port;  /* by port: where its terms begin in `read`; one more at the end */
    numbers read;
    numbers pool; /* the values of inputs and terms while calls are opened */
    range output; /* in the pool */
    int *readers; /* by term: where its readers begin; one more at the end */
    reader *reader;
    u192 *colours, *names;
} graph;

static PyObject *str_k, *str_rows, *str_output;

static int wrong(const char *what)
{
    PyErr_Format(PyExc_ValueError, "expected %s", what);
    return -1;
}

static int number(PyObject *object, long below)
{
    long found = PyLong_AsLong(object);
    if (found < 0 || found >= below) return PyErr_Occurred() ? -1 : wrong("the number of an earlier term");
    return (int)found;
}

static int as_code(PyObject *object, u192 *code)
{
    unsigned char bytes[16];
#if PY_VERSION_HEX >= 0x030D0000
    int how = Py_ASNATIVEBYTES_LITTLE_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER | Py_ASNATIVEBYTES_REJECT_NEGATIVE;
    Py_ssize_t took = PyLong_AsNativeBytes(object, bytes, 16, how);
    if (took < 0 || took > 16) return PyErr_Occurred() ? -1 : wrong("a code of 128 bits");
#else
    if (_PyLong_AsByteArray((PyLongObject *)object, bytes, 16, 1, 0) < 0) return -1;
#endif
    *code = (u192){{0, 0, 0}};
    for (int i = 15; i >= 0; i--) code->w[i / 8] = code->w[i / 8] << 8 | bytes[i];
    return 0;
}

/* Adds what a port's value is where inputs and terms have the values `env`. */
static int add_value(graph *g, numbers *to, PyObject *value, const range *env, int known)
{
    if (!PyTuple_Check(value)) return wrong("ports with tuples of terms");
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(value); n++) {
        int j = number(PyTuple_GET_ITEM(value, n), known);
        if (j < 0) return -1;
        for (int i = env[j].begin; i < env[j].end; i++)
            if (push(g->a, to, g->pool.at[i]) < 0) return -1;
    }
    return 0;
}

static int add_row(graph *g, PyObject *code, PyObject *ports, int free, const range *env, int known)
{
    u192 said;
    if (as_code(code, &said) < 0) return -1;
    for (int i = 0; i < 4; i++)
        if (push(g->a, &g->codes, (int)(uint32_t)(said.w[i / 2] >> (i % 2 * 32))) < 0) return -1;
    if (push(g->a, &g->free, free) < 0 || push(g->a, &g->ports, g->port.count) < 0) return -1;
    for (Py_ssize_t p = 0; p < PyTuple_GET_SIZE(ports); p++) {
        if (push(g->a, &g->port, g->read.count) < 0) return -1;
        if (add_value(g, &g->read, PyTuple_GET_ITEM(ports, p), env, known) < 0) return -1;
    }
    g->terms++;
    return 0;
}

static int open_program(graph *g, PyObject *program, PyObject *calls, const range *args, int inputs, range *output);

static int open_rows(graph *g, PyObject *rows, PyObject *calls, range *env, int k)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows); i++) {
        PyObject *row = PyList_GET_ITEM(rows, i), *code, *ports;
        int overflow, known = k + (int)i;
        if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) != 3 || !PyLong_Check(code = PyTuple_GET_ITEM(row, 0)) ||
            !PyTuple_Check(ports = PyTuple_GET_ITEM(row, 1)))
            return wrong("rows of a code, ports and whether they have no order");
        long called = PyLong_AsLongAndOverflow(code, &overflow);
        if (overflow > 0 || (overflow == 0 && called >= 0)) {
            env[known] = (range){g->pool.count, g->pool.count + 1};
            if (push(g->a, &g->pool, g->terms) < 0) return -1;
            if (add_row(g, code, ports, PyTuple_GET_ITEM(row, 2) == Py_True, env, known) < 0) return -1;
            continue;
        }
        if (overflow || calls == NULL || -1 - called >= PySequence_Fast_GET_SIZE(calls))
            return wrong("a call of what there is");
        int count = (int)PyTuple_GET_SIZE(ports);
        range *args = get(g->a, count, sizeof(range));
        if (args == NULL) return -1;
        for (int p = 0; p < count; p++) {
            args[p].begin = g->pool.count;
            if (add_value(g, &g->pool, PyTuple_GET_ITEM(ports, p), env, known) < 0) return -1;
            args[p].end = g->pool.count;
        }
        PyObject *inner = PySequence_Fast_GET_ITEM(calls, -1 - called);
        if (open_program(g, inner, NULL, args, count, &env[known]) < 0) return -1;
    }
    return 0;
}

/* Adds the rows of a program whose inputs have the values `args`, or their own where there are none. */
static int open_program(graph *g, PyObject *program, PyObject *calls, const range *args, int inputs, range *output)
{
    int done = -1;
    PyObject *rows = NULL, *last = NULL, *of_k = PyObject_GetAttr(program, str_k);
    int k = of_k == NULL ? -1 : number(of_k, MOST);
    if (k < 0 || (rows = PyObject_GetAttr(program, str_rows)) == NULL) goto end;
    if ((last = PyObject_GetAttr(program, str_output)) == NULL) goto end;
    if (!PyList_Check(rows) || PyList_GET_SIZE(rows) > MOST) {
        wrong("a list of rows");
        goto end;
    }
    int terms = k + (int)PyList_GET_SIZE(rows);
    range *env = get(g->a, terms, sizeof(range));
    if (env == NULL) goto end;
    if (args == NULL) {
        g->k = g->terms = k;
        for (int i = 0; i < k; i++) {
            env[i] = (range){i, i + 1};
            if (push(g->a, &g->pool, i) < 0) goto end;
        }
    } else if (inputs != k) {
        wrong("calls with a value for each input");
        goto end;
    } else
        memcpy(env, args, k * sizeof(range));
    if (open_rows(g, rows, calls, env, k) < 0) goto end;
    output->begin = g->pool.count;
    done = add_value(g, &g->pool, last, env, terms);
    output->end = g->pool.count;
end:
    Py_XDECREF(of_k);
    Py_XDECREF(rows);
    Py_XDECREF(last);
    return done;
}

static int find_readers(graph *g)
{
    int *begin = get(g->a, g->terms + 2, sizeof(int));
    g->reader = get(g->a, g->read.count, sizeof(reader));
    if (begin == NULL || g->reader == NULL) return -1;
    for (int r = 0; r < g->read.count; r++) begin[g->read.at[r] + 2]++;
    for (int t = 0; t < g->terms; t++) begin[t + 2] += begin[t + 1];
    for (int t = g->k; t < g->terms; t++)
        for (int first = g->ports.at[t - g->k], p = first; p < g->ports.at[t - g->k + 1]; p++)
            for (int r = g->port.at[p]; r < g->port.at[p + 1]; r++)
                g->reader[begin[g->read.at[r] + 1]++] = (reader){t, p - first};
    g->readers = begin;
    return 0;
}

/* ---- colours and names ---- */

static u192 value(const graph *g, const u192 *colours, int port)
{
    u192 found = {{0, 0, 0}};
    for (int r = g->port.at[port]; r < g->port.at[port + 1]; r++) add(&found, colours[g->read.at[r]]);
    return found;
}

/* What the ports of a term bring, in their order or without one. */
static u192 brought(const graph *g, const u192 *colours, int t)
{
    int first = g->ports.at[t - g->k], ports = g->ports.at[t - g->k + 1] - first, free = g->free.at[t - g->k];
    if (ports == 1) return value(g, colours, first);
    u192 said = {{free ? ports : ports - 1, 0, 0}};
    for (int p = 0; p < ports; p++) {
        u192 more = value(g, colours, first + p);
        add(&said, free ? mixed(more, out) : times(more, key[p]));
    }
    return said;
}

typedef struct { u192 said; int term; } slot;

/* Adds a term to a table; where one with its number is there already both are marked, and the answer is that one. */
static int seen(slot *table, size_t mask, u192 said, int term, char *marks)
{
    size_t i = (size_t)said.w[0] & mask;
    for (; table[i].term; i = (i + 1) & mask)
        if (same(table[i].said, said)) {
            marks[table[i].term - 1] = marks[term] = 1;
            return table[i].term - 1;
        }
    table[i] = (slot){said, term + 1};
    return -1;
}

static slot *table(arena *a, size_t count, size_t *mask)
{
    size_t size = 8;
    while (size < 2 * count) size *= 2;
    *mask = size - 1;
    return get(a, size, sizeof(slot));
}

/* Adds what a name takes from those who read a term; -1 where it is open on which port they do. */
static int add_readers(const graph *g, int t, u192 *more)
{
    for (int i = g->output.begin; i < g->output.end; i++)
        if (g->pool.at[i] == t) add(more, out);
    for (int r = g->readers[t]; r < g->readers[t + 1]; r++) {
        int by = g->reader[r].term, first = g->ports.at[by - g->k], end = g->ports.at[by - g->k + 1];
        if (!g->free.at[by - g->k]) {
            add(more, times(g->names[by], key[g->reader[r].port]));
            continue;
        }
        int sums = 0, equal = 0;
        for (int p = first; p < end; p++) {
            sums |= g->port.at[p + 1] - g->port.at[p] > 1;
            for (int q = first; q < p; q++) equal |= same(value(g, g->colours, p), value(g, g->colours, q));
        }
        if (sums && equal) return -1;
        u192 said = value(g, g->colours, first + g->reader[r].port);
        add(&said, g->names[by]);
        add(more, mixed(said, out));
    }
    return 0;
}

/* Whether two terms read the same and feed the same, so that any order is as good as another. */
static int exchangeable(const graph *g, int t, int u)
{
    const int *readers = g->readers, *ports = g->ports.at, *port = g->port.at;
    int times = 0, count = readers[t + 1] - readers[t], p = ports[t - g->k], q = ports[u - g->k];
    for (int i = g->output.begin; i < g->output.end; i++) times += (g->pool.at[i] == t) - (g->pool.at[i] == u);
    if (times || count != readers[u + 1] - readers[u] || ports[t - g->k + 1] - p != ports[u - g->k + 1] - q) return 0;
    for (int i = 0; i < count; i++) {
        reader one = g->reader[readers[t] + i], other = g->reader[readers[u] + i];
        if (one.term != other.term || one.port != other.port) return 0;
    }
    for (int end = ports[t - g->k + 1]; p < end; p++, q++) {
        int reads = port[p + 1] - port[p];
        if (reads != port[q + 1] - port[q]) return 0;
        if (memcmp(g->read.at + port[p], g->read.at + port[q], reads * sizeof(int))) return 0;
    }
    return 1;
}

/* Adds up the names of the twins: 1, or 0 where they don't tell all apart, or -1. */
static int tell(graph *g, const char *twin, int twins, u192 *told)
{
    size_t mask;
    int alike = 0, other;
    slot *names = table(g->a, twins, &mask);
    char *marks = get(g->a, g->terms, 1);
    if (names == NULL || marks == NULL || find_readers(g) < 0) return -1;
    for (int t = g->terms - 1; t >= g->k; t--) {
        if (!twin[t]) continue;
        u192 said = g->names[t];
        if (add_readers(g, t, &said) < 0) return 0;
        add(told, g->names[t] = mixed(said, out));
        alike |= seen(names, mask, g->names[t], t, marks) >= 0;
    }
    if (!alike) return 1;
    if ((names = table(g->a, twins, &mask)) == NULL) return -1;
    *told = (u192){{0, 0, 0}};
    for (int t = g->k; t < g->terms; t++) {
        if (!twin[t]) continue;
        if (marks[t]) {
            u192 said = g->names[t];
            add(&said, brought(g, g->names, t));
            g->names[t] = mixed(said, odd);
        }
        add(told, g->names[t]);
        if ((other = seen(names, mask, g->names[t], t, marks)) >= 0 && !exchangeable(g, t, other)) return 0;
    }
    return 1;
}

static PyObject *say(graph *g, PyObject *program, PyObject *calls)
{
    if (open_program(g, program, calls, NULL, 0, &g->output) < 0) return NULL;
    if (push(g->a, &g->ports, g->port.count) < 0 || push(g->a, &g->port, g->read.count) < 0) return NULL;
    size_t mask;
    slot *colours = table(g->a, g->terms, &mask);
    char *twin = get(g->a, g->terms, 1);
    g->colours = get(g->a, g->terms, sizeof(u192));
    g->names = get(g->a, g->terms, sizeof(u192));
    if (colours == NULL || twin == NULL || g->colours == NULL || g->names == NULL) return NULL;
    int twins = 0;
    for (int i = 0; i < g->k; i++) g->colours[i] = mixed((u192){{i, 0, 0}}, out);
    for (int t = g->k; t < g->terms; t++) {
        int ports = g->ports.at[t - g->k + 1] - g->ports.at[t - g->k];
        if (ports < 1 || ports > KEYS) Py_RETURN_NONE;
        const uint32_t *code = (const uint32_t *)g->codes.at + 4 * (t - g->k);
        u192 of_block = {{code[0] | (uint64_t)code[1] << 32, code[2] | (uint64_t)code[3] << 32, 0}};
        g->colours[t] = mixed(brought(g, g->colours, t), of_block);
        twins += seen(colours, mask, g->colours[t], t, twin) >= 0;
    }
    u192 said = {{0, 0, 0}}, told = {{0, 0, 0}};
    for (int i = g->output.begin; i < g->output.end; i++) add(&said, g->colours[g->pool.at[i]]);
    if (twins) {
        memcpy(g->names, g->colours, g->terms * sizeof(u192));
        int found = tell(g, twin, 2 * twins, &told);
        if (found < 0) return NULL;
        if (found == 0) Py_RETURN_NONE;
    }
    char text[128];
    int length = PyOS_snprintf(text, 24, "%d:", g->terms - g->k);
    length += hex(text + length, said);
    text[length++] = ':';
    length += hex(text + length, told);
    return PyBytes_FromStringAndSize(text, length);
}

/* ---- the module ---- */

static PyObject *said(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !(PyList_Check(args[1]) || PyTuple_Check(args[1])))
        return wrong("a program and a list of calls"), NULL;
    arena a;
    a.blocks = NULL;
    a.free = (char *)(((uintptr_t)a.first + 15) & ~(uintptr_t)15);
    a.left = sizeof a.first - 16;
    graph g = {.a = &a};
    PyObject *found = say(&g, args[0], args[1]);
    give_back(&a);
    return found;
}

static PyObject *prepare(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyList_Check(args[2]) || PyList_GET_SIZE(args[2]) < KEYS)
        return wrong("two numbers and a key for each port"), NULL;
    if (as_code(args[0], &odd) < 0 || as_code(args[1], &out) < 0) return NULL;
    for (int i = 0; i < KEYS; i++)
        if (as_code(PyList_GET_ITEM(args[2], i), &key[i]) < 0) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"said", (PyCFunction)(void (*)(void))said, METH_FASTCALL, "What is hashed of a program and its calls, or None."},
    {"prepare", (PyCFunction)(void (*)(void))prepare, METH_FASTCALL, "Takes the constants of fingerprint.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_fingerprint", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__fingerprint(void)
{
    str_k = PyUnicode_InternFromString("k");
    str_rows = PyUnicode_InternFromString("rows");
    str_output = PyUnicode_InternFromString("output");
    if (!str_k || !str_rows || !str_output) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && PyModule_AddIntConstant(module, "KEYS", KEYS) < 0) Py_CLEAR(module);
    return module;
}
