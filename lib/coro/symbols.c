/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * libdw's door. Its session holds what it has read of the program's files; nothing is kept between two sessions.
 *
 * Debug information is looked for in the file itself and by its build id below /usr/lib/debug. elfutils' own search would ask a
 * server for it where DEBUGINFOD_URLS is set: not what a server wants to wait for in the middle of a report.
 */
#include "lib/coro/symbols.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* By the dynamic linker alone. */
static void print_plainly(FILE *out, const void *return_address)
{
    uintptr_t address = (uintptr_t)return_address - 1;
    Dl_info info;
    if (!dladdr((void *)address, &info) || !info.dli_fname)
        fprintf(out, "%#" PRIxPTR, address);
    else if (info.dli_sname)
        fprintf(out, "%s+%#" PRIxPTR " in %s", info.dli_sname, address - (uintptr_t)info.dli_saddr, base_name(info.dli_fname));
    else
        fprintf(out, "%s+%#" PRIxPTR, base_name(info.dli_fname), address - (uintptr_t)info.dli_fbase);
}

#ifdef WEFT_LIBDW

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <unistd.h>

#include "lib/base/memory.h"

struct weft_symbols {
    Dwfl *session;
};

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    .find_debuginfo = dwfl_build_id_find_debuginfo,
};

weft_symbols *weft_symbols_open(void)
{
    weft_symbols *symbols = weft_mem_alloc(sizeof *symbols);
    if (!symbols)
        return NULL;
    symbols->session = dwfl_begin(&callbacks);
    if (symbols->session && dwfl_linux_proc_report(symbols->session, getpid()) == 0 &&
        dwfl_report_end(symbols->session, NULL, NULL) == 0)
        return symbols;
    weft_symbols_close(symbols);
    return NULL;
}

void weft_symbols_close(weft_symbols *symbols)
{
    if (!symbols)
        return;
    if (symbols->session)
        dwfl_end(symbols->session);
    weft_mem_free(symbols);
}

/* A place in a source file. */
struct place {
    const char *file;
    int line;
};

/* Where the function of an inlined call was called. */
static struct place place_of_call(Dwarf_Die *unit, Dwarf_Die *call)
{
    struct place place = { NULL, 0 };
    Dwarf_Attribute attribute;
    Dwarf_Word file, line;
    Dwarf_Files *files;
    size_t count;
    if (dwarf_formudata(dwarf_attr(call, DW_AT_call_file, &attribute), &file) == 0 &&
        dwarf_formudata(dwarf_attr(call, DW_AT_call_line, &attribute), &line) == 0 &&
        dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count) {
        place.file = dwarf_filesrc(files, file, NULL, NULL);
        place.line = (int)line;
    }
    return place;
}

static void print_function(FILE *out, const char *name, struct place place)
{
    fputs(name, out);
    if (place.file)
        fprintf(out, " at %s:%d", base_name(place.file), place.line);
}

/* What lies around an address in the code as it was compiled, the innermost first. The first call alone would, from an inlined
 * function, go on to where the source has that. */
static int get_scopes(Dwarf_Die *unit, Dwarf_Addr address, Dwarf_Die **ret_scopes)
{
    Dwarf_Die *found;
    int count = dwarf_getscopes(unit, address, &found);
    if (count <= 0)
        return 0;
    count = dwarf_getscopes_die(&found[0], ret_scopes);
    weft_mem_free(found);
    return count;
}

/* The compilation unit of an address. gcc's files have a table to find it by, clang's do not, and that of a program optimised
 * while it was linked is wrong. */
static Dwarf_Die *find_unit(Dwfl_Module *module, Dwarf_Addr address, Dwarf_Addr *ret_bias)
{
    Dwarf_Die *unit = dwfl_module_addrdie(module, address, ret_bias);
    if (unit && dwarf_haspc(unit, address - *ret_bias) > 0)
        return unit;
    unit = NULL;
    do
        unit = dwfl_module_nextcu(module, unit, ret_bias);
    while (unit && dwarf_haspc(unit, address - *ret_bias) <= 0);
    return unit;
}

static struct place place_of_address(Dwarf_Die *unit, Dwarf_Addr address)
{
    struct place place = { NULL, 0 };
    Dwarf_Line *line = dwarf_getsrc_die(unit, address);
    if (line && dwarf_lineno(line, &place.line) == 0)
        place.file = dwarf_linesrc(line, NULL, NULL);
    return place;
}

/* The function around the address, and before it those inlined there, the innermost first. False if nothing is known. */
static bool print_scopes(FILE *out, Dwarf_Die *unit, Dwarf_Addr address)
{
    struct place place = place_of_address(unit, address);
    Dwarf_Die *scopes;
    int count = get_scopes(unit, address, &scopes);
    bool is_known = false;
    for (int i = 0; i < count; i++) {
        const char *name = dwarf_diename(&scopes[i]);
        int tag = dwarf_tag(&scopes[i]);
        if ((tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) || !name)
            continue;
        if (is_known)
            fputs(", in ", out);
        print_function(out, name, place);
        is_known = true;
        if (tag == DW_TAG_subprogram)
            break;
        place = place_of_call(unit, &scopes[i]);
    }
    if (count > 0)
        weft_mem_free(scopes);
    return is_known;
}

static bool print_from_files(Dwfl *session, FILE *out, Dwarf_Addr address)
{
    Dwfl_Module *module = dwfl_addrmodule(session, address);
    if (!module)
        return false;
    Dwarf_Addr bias;
    Dwarf_Die *unit = find_unit(module, address, &bias);
    if (unit && print_scopes(out, unit, address - bias))
        return true;
    const char *name = dwfl_module_addrname(module, address);
    if (!name)
        return false;
    const char *file = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    fprintf(out, "%s in %s", name, base_name(file));
    return true;
}

void weft_symbols_print(weft_symbols *symbols, FILE *out, const void *return_address)
{
    if (!symbols || !print_from_files(symbols->session, out, (uintptr_t)return_address - 1))
        print_plainly(out, return_address);
}

#else

weft_symbols *weft_symbols_open(void)
{
    return NULL;
}

void weft_symbols_close(weft_symbols *symbols)
{
    (void)symbols;
}

void weft_symbols_print(weft_symbols *symbols, FILE *out, const void *return_address)
{
    (void)symbols;
    print_plainly(out, return_address);
}

#endif
