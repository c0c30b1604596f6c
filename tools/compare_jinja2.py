#!/usr/bin/env python3
"""Compares `llmgen render --jsonl` with jinja2 as transformers configures it.

  compare_jinja2.py --llmgen build/test/tools/llmgen [--random 2000] [--seed 1]

Every filter, test, method and operator is tried on values of every kind, with many arguments, besides hand-written
templates for statements and white space and random nested expressions. Needs jinja2 and transformers."""
import argparse
import datetime
import itertools
import json
import random
import re
import resource
import signal
import subprocess
import sys

import jinja2
import jinja2.sandbox
import transformers.utils.chat_template_utils as ctu

NOW = "2026-07-14T09:05:03"


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromisoformat(NOW)


ctu.datetime = Frozen

VARIABLES = {
    "s": "Hello World", "e": "", "sp": "  pad ded\t\n", "n": 5, "f": 2.5, "neg": -7, "t": True, "fa": False, "no": None,
    "l": [3, 1, 2], "w": ["b", "A", "c", "B"], "el": [], "d": {"b": 1, "a": "x", "C": [1, 2]}, "ed": {},
    "m": [{"role": "user", "n": 1, "k": {"z": "p"}}, {"role": "bot", "n": 2, "x": True, "k": {"z": "q"}},
          {"role": "user", "n": 3, "x": False, "k": {"z": "o"}}],
    "u": "ünï \"q\" <b>&'\n\t\\", "cjk": "日本語 text 🙂", "big": 1e20, "z": 0, "huge": 12345678901234567890,
    "deep": {"a": {"b": [{"c": "found"}]}}, "mixed": [1, "a", None, True, 2.5, [1], {"k": "v"}], "items": "shadow",
    "lines": "one\ntwo\r\nthree\n\nfive", "num": "42", "numf": "3.75", "dup": [1, 2, 1, 3, 2], "path": "a/b/c.d",
    "json": "{\"a\": 1}", "nested": [[1, 2], [3], []], "words": "the quick brown fox jumps over the lazy dog",
}
NAMES = list(VARIABLES)


def value_expressions():
    return NAMES + ["missing", "1", "-1", "0", "3.0", "'x'", "''", "true", "none", "[]", "{}", "(1, 2)", "[1, 'a']",
                    "{'a': 1}", "range(3)", "'%s-%d'", "d.items()", "m[0]", "loopless"]


FILTER_CALLS = """abs
attr('role')
attr('upper')
batch(2) | list
batch(2, 'x') | list
capitalize
center
center(20)
count
d
default('D')
default('D', true)
default(value='D', boolean=true)
dictsort
dictsort(true)
dictsort(by='value')
dictsort(reverse=true)
dictsort(false, 'key', true)
e
escape
filesizeformat
filesizeformat(true)
first
float
float(1.5)
float(default=7)
forceescape
format('a', 2)
format(a=1)
groupby('role')
groupby('role') | list
groupby('n') | map('first') | list
groupby('k.z') | map(attribute='grouper') | list
groupby('x', default='none') | map('first') | list
indent
indent(2)
indent(2, true)
indent(2, first=true, blank=true)
indent('> ')
indent(width=3, blank=true)
int
int(7)
int(default=9)
int(0, 16)
int(base=2)
items | list
join
join(', ')
join('|', attribute='role')
join('-', 'n')
join(d='+')
last
length
list
list | length
lower
map('upper') | list
map('string') | join(',')
map(attribute='role') | list
map(attribute='x', default='dd') | list
map(attribute='k.z') | join
map('default', 'q') | list
map('replace', 'a', 'b') | list
map('int', 3) | list
map('length') | list
map('first') | list
map('join', '/') | list
map(attribute=0) | list
max
min
max(attribute='n')
min(case_sensitive=true)
max(true, 'n')
pprint
random | length >= 0
reject
reject('odd') | list
reject('none') | list
reject('equalto', 1) | list
reject('in', [1, 'a']) | list
rejectattr('x') | list
rejectattr('x', 'defined') | map(attribute='n') | list
rejectattr('role', 'equalto', 'user') | list
replace('a', 'bb')
replace('l', 'L', 1)
replace('', '-')
replace('o', '')
replace(' ', '_', count=1)
reverse
reverse | list
round
round(1)
round(2, 'floor')
round(precision=1, method='ceil')
round(-1)
round(0, 'common')
safe
select | list
select('odd') | list
select('string') | list
select('greaterthan', 1) | list
select('divisibleby', 2) | list
select('none') | list
select('defined') | list
selectattr('x') | list
selectattr('role', 'eq', 'user') | list
selectattr('n', '>', 1) | list
selectattr('n', 'in', [1, 3]) | map(attribute='n') | list
selectattr('k.z', '==', 'p') | list
selectattr('missing', 'undefined') | list | length
slice(2) | list
slice(3, 'f') | list
slice(2) | map('list') | list
sort
sort(true)
sort(reverse=true)
sort(case_sensitive=true)
sort(attribute='n')
sort(attribute='role,n') | map(attribute='n') | list
sort(false, false, 'k.z') | list
string
string | length
striptags
sum
sum('n')
sum(attribute='n', start=10)
sum(start=100)
title
tojson
tojson(2)
tojson(indent=4)
tojson(ensure_ascii=true)
tojson(separators=(',', ':'))
tojson(sort_keys=true)
tojson(indent=2, sort_keys=true)
tojson(ensure_ascii=True, indent=1)
trim
trim('H')
trim('d \\n')
trim(chars='lo')
truncate
truncate(8)
truncate(8, true)
truncate(8, false, '...', 0)
truncate(9, true, '')
truncate(length=5, killwords=true, end='!')
unique | list
unique(true) | list
unique(attribute='role') | map(attribute='n') | list
unique(case_sensitive=true) | list
upper
urlencode
urlize
wordcount
wordwrap
wordwrap(5)
wordwrap(5, false)
wordwrap(10, true, '|')
wordwrap(7, wrapstring='\\n> ')
wordwrap(8, break_long_words=false)
xmlattr
nosuch
default
map
map('nosuch')
select('nosuch')
lower(1)
join(1)
batch
upper | lower | title | length""".splitlines()

TESTS = """defined
undefined
none
string
number
integer
float
boolean
true
false
mapping
sequence
iterable
callable
odd
even
divisibleby(3)
divisibleby 2
eq(5)
equalto 5
== 5
ne 5
!= 5
lt 3
lessthan 3
< 3
le 5
<= 5
gt 3
greaterthan(3)
> 3
ge 5
>= 5
in [5, 'x', none]
in 'Hello'
lower
upper
escaped
filter
test
sameas none
sameas(true)
nosuch""".splitlines()

METHODS = """upper()
lower()
title()
capitalize()
swapcase()
casefold()
strip()
strip('Hd ')
lstrip()
rstrip()
lstrip('H')
rstrip('dlr')
split()
split(' ')
split(' ', 1)
split('l')
split('', 1)
split(none, 1)
split(maxsplit=1)
split(sep='o')
split('l', maxsplit=1)
rsplit(' ')
rsplit('l', 1)
rsplit()
rsplit(none, 1)
splitlines()
splitlines(true)
splitlines(keepends=true)
partition(' ')
rpartition('o')
partition('zz')
rpartition('zz')
replace('l', 'L')
replace('l', 'L', 1)
replace('', '.')
replace('l', '', 0)
replace('l', 'q', -1)
startswith('H')
startswith(('x', 'H'))
startswith('e', 1)
startswith('l', 2, 4)
endswith('d')
endswith(('x', 'd'))
endswith('l', 0, -1)
find('o')
find('o', 5)
find('o', 0, 3)
find('')
rfind('o')
rfind('o', 0, 5)
index('o')
index('zz')
rindex('o')
count('l')
count('')
count('l', 3)
isdigit()
isalpha()
isalnum()
isspace()
isupper()
islower()
istitle()
isnumeric()
isdecimal()
isidentifier()
isascii()
isprintable()
zfill(15)
zfill(2)
center(15)
center(15, '*')
ljust(13)
ljust(13, '.')
rjust(13, '-')
expandtabs()
expandtabs(4)
join(['a', 'b'])
join([1, 2])
join('xyz')
join([])
format('x')
encode()
encode('utf-8')
removeprefix('He')
removesuffix('ld')
removesuffix('')
translate({})
maketrans('a', 'b')
keys()
keys() | list
values() | list
items() | list
get('a')
get('zz')
get('zz', 'def')
get('a', default='q')
copy()
append(1)
pop()
pop(0)
update({'q': 1})
insert(0, 'i')
extend([9])
remove(1)
clear()
sort()
reverse()
setdefault('a', 2)
popitem()
fromkeys([1])
index(1)
count(1)
__class__
__len__()
_private
upper
items
nosuch()
is_integer()
as_integer_ratio()
bit_length()
conjugate()
hex()""".splitlines()

OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]

SUBSCRIPTS = ["0", "-1", "5", "100", "'a'", "'role'", "'items'", "1:", ":2", "::2", "::-1", "1:-1", "-3:", ":-1", "-1:-4:-1", "5:0:-2",
              "::0", "true", "none", "1.0", "'x':", "10:", ":100", "-100:", "missing", "(1, 2)", "[0]"]

# Statements, white space, scopes.
STATEMENTS = r"""{% macro a(x, y=2, z=none) %}[{{ x }}|{{ y }}|{{ z }}]{% endmacro %}{{ a(1) }}{{ a(1, 3) }}{{ a(x=4, z=5) }}{{ a() }}
{% macro a(x) %}{{ x }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ a(1, 2, 3, k=4) }}
{% macro a(x) %}{{ x }}{% endmacro %}{{ a(1, 2) }}
{% macro a(x) %}{{ x }}{% endmacro %}{{ a(y=2) }}
{% macro a(x) %}{{ x }}{% endmacro %}{{ a(1, x=2) }}
{% macro a(x) %}{{ a.name }} {{ a.arguments }} {{ a.catch_kwargs }} {{ a.catch_varargs }} {{ a.caller }}{% endmacro %}{{ a(1) }} {{ a.name }} {{ a.arguments }}
{% macro a() %}<{{ caller() }}>{% endmacro %}{% call a() %}body {{ s }}{% endcall %}
{% macro a() %}<{{ caller(1, 2) }}>{% endmacro %}{% call(x, y) a() %}{{ x }}-{{ y }}{% endcall %}
{% macro a(i) %}{% for v in i %}{{ caller(v) }}{% endfor %}{% endmacro %}{% call(v) a([1, 2]) %}({{ v }}){% endcall %}
{% macro a() %}x{% endmacro %}{% call a() %}y{% endcall %}
{% macro a(caller=none) %}{{ caller() if caller else 'no' }}{% endmacro %}{{ a() }}{% call a() %}y{% endcall %}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}
{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}
{% macro f(a=1, b) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}
{% set x = 1 %}{% macro f() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ f() }}
{% macro f() %}{% set x = 5 %}{{ x }}{% endmacro %}{{ f() }}{{ x }}
{% macro f() %}  a  {% endmacro %}{{ f() | trim }}{{ f() ~ 'q' }}{{ f() | length }}{{ f() is string }}{{ f() == '  a  ' }}
{% macro f(d) %}{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% endmacro %}{{ f({'a': 1, 'b': [1, 2]}) }}
{% set ns = namespace(a=1, b=[]) %}{% for i in l %}{% set ns.a = ns.a + i %}{% set ns.b = ns.b + [i] %}{% endfor %}{{ ns.a }} {{ ns.b }}
{% set ns = namespace({'x': 1}, y=2) %}{{ ns.x }}{{ ns.y }}{{ ns.z }}{{ ns.z is defined }}
{% set ns = namespace(d) %}{{ ns.a }}{{ ns }}
{% set ns = namespace() %}{% set ns.q = 1 %}{{ ns.q }}{{ ns['q'] }}
{% set ns.q = 1 %}
{% set d.q = 1 %}{{ d.q }}
{% set ns = namespace(_a=1) %}{{ ns._a }}
{% set ns = namespace(a=1) %}{% set ns._b = 2 %}{{ ns.a }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = [3, 4] %}{{ a }}{{ b }}
{% set a, b = [3, 4, 5] %}{{ a }}
{% set (a, b) = (1, 2) %}{{ a + b }}
{% set x %}block {{ s }}{% endset %}[{{ x }}]{{ x is string }}
{% set x | upper %}block {{ s }}{% endset %}[{{ x }}]
{% set x | replace('o', '0') | trim %}  foo {{ n }} {% endset %}[{{ x }}]
{% set x = [1, 2] %}{% set x = x + [3] %}{{ x }}
{% if true %}{% set x = 1 %}{% endif %}{{ x }}
{% for i in l %}{% set x = i %}{% endfor %}{{ x is defined }}{{ x }}
{% set x = 0 %}{% for i in l %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}
{% for i in l %}{{ i }}{% else %}empty{% endfor %}{% for i in el %}{{ i }}{% else %}empty{% endfor %}
{% for i in missing %}{{ i }}{% else %}none{% endfor %}
{% for i in no %}{{ i }}{% endfor %}
{% for i in n %}{{ i }}{% endfor %}
{% for c in s %}{{ c }}.{% endfor %}
{% for k in d %}{{ k }},{% endfor %}{% for k, v in d.items() %}{{ k }}:{{ v }},{% endfor %}{% for k, v in d | dictsort %}{{ k }}{% endfor %}{% for k, v in d | items %}{{ k }}{% endfor %}
{% for a, b in nested %}{{ a }}{% endfor %}
{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }};{% endfor %}
{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}{{ x }}{{ loop.length }}{{ loop.last }};{% endfor %}
{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}
{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }}{{ loop.cycle('a', 'b', 'c') }};{% endfor %}
{% for x in m %}{{ loop.changed(x.role, x.n) }};{% endfor %}
{% for x in l %}{% for y in w %}{{ loop.index }}{{ loop.depth }}{{ x }}{{ y }}{% endfor %}{{ loop.index }}|{% endfor %}
{% for x in l %}{% set outer = loop %}{% for y in el or [1, 2] %}{{ outer.index }}{{ loop.index }};{% endfor %}{% endfor %}
{% for n in [{'v': 1, 'c': [{'v': 2, 'c': [{'v': 3, 'c': []}]}]}, {'v': 4, 'c': []}] recursive %}{{ loop.depth }}{{ loop.depth0 }}:{{ n.v }}({{ loop(n.c) }}){% endfor %}
{% for n in [[1, [2, [3]]], [4]] recursive %}{% if n is iterable %}[{{ loop(n) }}]{% else %}{{ n }}{% endif %}{% endfor %}
{% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x == 6 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in range(3) %}{% for y in range(3) %}{% if y == 1 %}{% break %}{% endif %}{{ x }}{{ y }};{% endfor %}{% endfor %}
{% break %}
{% for x in range(0) %}{% else %}{{ loop is defined }}{% endfor %}
{% for x in range(5, 1, -2) %}{{ x }}{% endfor %}{{ range(3) }}{{ range(3) | list }}{{ range(1, 4)[1] }}{{ range(10)[2:5] }}{{ range(3) | length }}
{{ loop }}
{{ loop.index }}
{% for x in l %}{{ loop }}{% endfor %}
{% for x in l -%}  {{ x }}  {%- endfor %}
{%- for x in l %} {{ x -}} {% endfor -%}  end
  {% if t %}  yes  {% endif %}  
  {%+ if t %}  yes  {%+ endif +%}  
{% if t +%}
a
{% endif %}
b
{{ s }}
{{ n }}

{{- s -}}
{{+ s }}
a {#- c -#} b
a {# c #} b {#+ x #} c
  {# line comment #}
x
{# multi
line
comment #}
y
{%- raw %} {{ not }} {% if %} {%- endraw %}x
{% raw %}
{{ x }}
{% endraw %}
{% raw -%}  a  {%- endraw -%}  b
{% filter upper %}abc {{ s }}{% endfilter %}
{% filter replace('a', 'b') | upper %}banana{% endfilter %}
{% filter indent(2) %}a
b{% endfilter %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}
{% with a = n %}{% with b = a + 1 %}{{ b }}{% endwith %}{% endwith %}
{% block x %}in block {{ s }}{% endblock %}
{% block x %}in {{ self.x is defined }}{% endblock x %}
{% autoescape true %}{{ u }}{% endautoescape %}
{% autoescape false %}{{ u }}{% endautoescape %}
{% do l.append(1) %}
{% include 'x' %}
{% import 'x' as y %}
{% extends 'x' %}
{% from 'x' import y %}
{% debug %}
{% trans %}x{% endtrans %}
{% generation %}g {{ s }}{% endgeneration %}
{%- generation -%}  g {{ s }}  {%- endgeneration -%}  z
{% if n == 5 %}a{% elif n == 6 %}b{% else %}c{% endif %}
{% if n == 4 %}a{% elif n == 5 %}b{% else %}c{% endif %}
{% if missing %}a{% elif not missing %}b{% endif %}
{% if s and l and not el %}a{% endif %}
{% if n is odd and n > 3 or fa %}a{% endif %}
{% if 'x' in missing %}a{% endif %}
{% if missing.x %}a{% endif %}
{% if missing.x is defined %}a{% else %}b{% endif %}
{% if d.missing is defined %}a{% else %}b{% endif %}
{% if d.missing.more is defined %}a{% else %}b{% endif %}
{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 3 > 2 >= 2 != 1 }}{{ 1 == 1.0 == true }}{{ 1 < 2 in [2] }}
{{ 'a' 'b' }}{{ 'a' "b" 'c' }}
{{ 1 if t }}|{{ 1 if fa }}|{{ (1 if fa) is defined }}|{{ 1 if fa else 2 if fa else 3 }}
{{ not t }}{{ not not t }}{{ not 1 == 2 }}{{ not 'a' in s }}{{ 'a' not in s }}{{ n is not none }}{{ n is not number }}
{{ -n }}{{ +n }}{{ --n }}{{ -n ** 2 }}{{ 2 ** -1 }}{{ 2 ** 3 ** 2 }}{{ (-2) ** 2 }}{{ - 3 | abs }}{{ -3 | abs }}{{ (-3) | abs }}
{{ 7 // 2 }}{{ -7 // 2 }}{{ 7 // -2 }}{{ 7 % -3 }}{{ -7 % 3 }}{{ 7.5 // 2 }}{{ -7.5 % 2 }}{{ 7 / 2 }}{{ 8 / 2 }}{{ 1e300 * 1e10 }}{{ 2 ** 0.5 }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 / 0 }}
{{ 0 ** -1 }}
{{ 2 ** 100 }}{{ 2 ** 64 - 1 }}{{ -2 ** 63 }}{{ huge * 10 }}{{ huge // 7 }}{{ huge % 1000 }}
{{ 10 ** 40 }}
{{ (-8) ** 0.5 }}
{{ 0.1 + 0.2 }} {{ 1e3 }} {{ 1.5e-5 }} {{ 100000.0 * 1e11 }} {{ 1e15 }} {{ 123456789.123456789 }} {{ 1_000 }} {{ 0x1f }} {{ 0b11 }} {{ 0o17 }} {{ 1e22 }} {{ 5e-324 }}
{{ true + true }}{{ true * 3 }}{{ true / 2 }}{{ -true }}{{ true == 1 }}{{ false < true }}
{{ 'a' * 3 }}{{ 3 * 'a' }}{{ [1] * 2 }}{{ 'a' * -1 }}{{ 'a' * true }}{{ (1, 2) * 2 }}{{ (1, 2) + (3,) }}
{{ 'a' ~ 1 ~ none ~ true ~ [1] ~ missing ~ 1.0 }}
{{ 'a' + 1 }}
{{ [1] + 'a' }}
{{ none + 1 }}
{{ missing + 1 }}
{{ missing ~ 'a' }}{{ missing | length }}{{ missing | upper }}{{ missing | list }}{{ missing == missing2 }}{{ missing == none }}{{ missing != none }}
{{ missing.a }}
{{ missing['a'] }}
{{ missing() }}
{{ d.missing }}{{ d['missing'] }}{{ d.missing is undefined }}{{ s.missing is undefined }}{{ l[10] is undefined }}
{{ d.missing.more }}
{{ n.x }}{{ no.x is defined }}{{ no['x'] is defined }}
{{ no.x.y }}
{{ d.items }}
{{ d['items'] is defined }}{{ d.b }}{{ d['b'] }}{{ d.get('b') }}{{ d.keys() | list }}{{ d.values() | list }}{{ d.items() | list }}
{{ d.keys() }}{{ d.values() }}{{ d.items() }}
{{ l.0 }}{{ l.1 }}{{ m.0.role }}{{ m[0]['role'] }}{{ m[-1].k.z }}
{{ deep.a.b[0].c }}{{ deep['a']['b'][0]['c'] }}{{ deep.a.b.0.c }}{{ deep.a.x.y is defined }}
{{ (1, 2) }}{{ (1,) }}{{ () }}{{ 1, 2 }}{{ [1, 2,] }}{{ {'a': 1,} }}{{ {1: 2, 'a': [1], none: true} }}{{ {(1, 2): 3} }}
{{ {[1]: 2} }}
{{ {'a': 1, 'a': 2} }}{{ {1: 'a', 1.0: 'b', true: 'c'} }}
{{ {'a': 1} == {'a': 1.0} }}{{ [1, 2] < [1, 3] }}{{ (1, 2) == [1, 2] }}{{ 'a' < 'b' }}{{ 'a' < 'B' }}{{ [1] == (1,) }}{{ none == false }}{{ '' == none }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ {} < {} }}
{{ "esc \" \' \\ \n \t \x41 \u00e9 \U0001F642 \101 \a \q" }}
{{ 'line\
continued' }}
{{ "unterminated }}
{{ s | upper | lower | title }}{{ s|upper|replace("L","x") }}
{{ (s) | upper }}{{ (s ~ 'x') | upper }}{{ s ~ 'x' | upper }}{{ 1 + 2 | string }}{{ (1 + 2) | string }}
{{ s.upper().lower().replace('h', 'j').split(' ')[0][1:] }}
{{ s[0] }}{{ s[-1] }}{{ s[1:3] }}{{ s[::-1] }}{{ s[::2] }}{{ cjk[1] }}{{ cjk[::-1] }}{{ cjk | length }}{{ cjk[-1] }}{{ u | length }}
{{ '%s is %d and %.2f %5s|%-5s|%05d %x %X %o %e %g %% %r %c %+d' | format('a', 3, 1.5, 'b', 'c', 42, 255, 255, 8, 12345.678, 0.0001, 'q', 'z', 5) }}
{{ '%s %s' % ('a', 'b') }}{{ '%s' % 'x' }}{{ '%d%%' % 5 }}{{ '%(a)s' % {'a': 1} }}{{ '%s' % [1] }}{{ '%s' % none }}
{{ '%d' % 'x' }}
{{ '%s' % (1, 2) }}
{{ '%s %s' % 1 }}
{{ '{} {}'.format(1, 'a') }}{{ '{0} {1} {0}'.format(1, 2) }}{{ '{a} {b}'.format(a=1, b=2) }}{{ '{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}|{:x}|{:e}|{:%}|{:+d}'.format('a', 'b', 'c', 42, 1.234, 1234567, 255, 1234.5, 0.25, 3) }}{{ '{{}}'.format() }}{{ '{0[0]} {1[a]}'.format([1], {'a': 2}) }}{{ '{!r} {!s}'.format('a', 'b') }}{{ '{:>{w}}'.format('a', w=5) }}{{ '{:*^9}'.format('mid') }}{{ '{:_}'.format(1234567) }}{{ '{:b}'.format(5) }}{{ '{:g}'.format(0.00001) }}{{ '{:.3}'.format('abcdef') }}{{ '{:n}'.format(5) }}
{{ '{0.__class__}'.format(1) }}
{{ '{} {}'.format(1) }}
{{ '{a}'.format(1) }}
{{ ''.join(['a', 'b']) }}{{ ', '.join(w) }}{{ '-'.join('abc') }}{{ ','.join(d) }}{{ ','.join(d.keys()) }}
{{ l | join(', ') }}{{ l | sort | join('') }}{{ m | map(attribute='role') | unique | join(',') }}{{ d | join }}{{ w | sort }}{{ w | sort(case_sensitive=true) }}
{{ dict(a=1, b=2) }}{{ dict() }}{{ dict([['a', 1], ['b', 2]]) }}{{ dict({'a': 1}, b=2) }}{{ dict(a=1)['a'] }}{{ dict(d, b=9) }}
{{ dict([1]) }}
{{ cycler('a', 'b') }}
{% set c = cycler('a', 'b', 'c') %}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.current }}
{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b{{ j() }}c
{% set j = joiner() %}{{ j() }}a{{ j() }}b
{{ lipsum() | length > 0 }}
{{ lipsum is defined }}{{ range is defined }}{{ dict is defined }}{{ namespace is defined }}{{ raise_exception is defined }}{{ strftime_now is defined }}{{ self is defined }}{{ caller is defined }}{{ varargs is defined }}
{{ raise_exception('boom ' ~ n) }}
{{ raise_exception() }}
{% if true %}{{ raise_exception('x') }}{% endif %}
{{ strftime_now('%Y-%m-%d') }} {{ strftime_now('%d %B %Y, %H:%M:%S %p %a %A %b %y %j %I %U %w %%') }} {{ strftime_now('%e') }} {{ strftime_now('%-d/%-m') }} {{ strftime_now('%F %T') }} {{ strftime_now('%c') }} {{ strftime_now('%x %X') }} {{ strftime_now('%Z|%z') }} {{ strftime_now('%s') is string }} {{ strftime_now('%f') }} {{ strftime_now('%G-%V-%u') }} {{ strftime_now('%D %R %h %C %n%t %k %l') }}
{{ s.__class__ }}
{{ s.__class__.__mro__ }}
{{ s['__class__'] }}
{{ s | attr('__class__') }}
{{ (s | attr('__class__')) is defined }}{{ (s.__class__) is defined }}{{ s.upper.__self__ is defined }}
{{ s.upper }}
{{ range }}
{{ namespace }}
{{ raise_exception.__globals__ }}
{{ ''.__class__.__base__.__subclasses__() }}
{{ l.append(4) }}{{ l }}
{% set _ = l.append(4) %}{{ l }}
{% set _ = d.update({'z': 1}) %}{{ d }}
{% set _ = d.pop('a') %}{{ d }}
{{ d.__getitem__('a') }}
{{ [x for x in l] }}
{{ lambda x: x }}
{{ l[0] = 1 }}
{{ 1 +}}
{{ }}
{{ ( }}
{% if %}{% endif %}
{% if t %}
{% endif %}
{% for %}{% endfor %}
{% for x in %}{% endfor %}
{% endfor %}
{% unknown %}
{% set %}
{% set x %}
{% set 1 = 2 %}
{% set x = %}
{% macro %}{% endmacro %}
{% macro f( %}{% endmacro %}
{{ s | }}
{{ | upper }}
{{ s is }}
{{ s.}}
{{ s[ }}
{{ {'a' 1} }}
{{ 'a' b }}
{{ a b }}
{{ 1.2.3 }}
{{ 1 2 }}
{{ !x }}
{{ x & y }}
{{ x && y }}
{{ x ? y : z }}
{{ $x }}
{{ `x` }}
{# unclosed
{% raw %} unclosed
{{ s
{% if t
}} {{ s }} %} #}
{{ '}}' }}{{ "%}" }}{% set x = '%}' %}{{ x }}
{ { s } }
{{{ s }}}
{{ {'a': {'b': 1}} }}{{ {'a': {'b': 1}}.a.b }}{{ {"x": [1, {"y": 2}]}["x"][1]["y"] }}
{{ s }}{{ s }}
trailing newline

two

{{ s }}

x  
 {%- if t -%} y {%- endif -%} 
z
{{ true }}{{ True }}{{ false }}{{ False }}{{ none }}{{ None }}{{ TRUE }}{{ null }}
{{ s is string and n is number }}{{ n is number or x }}{{ s is string == true }}{{ not s is string }}{{ s is not string }}{{ (s is string) is boolean }}
{{ n is divisibleby 5 and t }}{{ n is divisibleby(5) }}{{ n is in [5] }}{{ n is not in [5] }}{{ 'a' is in 'abc' }}
{{ n is eq 5 }}{{ n is sameas n }}{{ s is sameas s }}{{ none is sameas none }}{{ 'upper' is filter }}{{ 'nosuch' is filter }}{{ 'odd' is test }}{{ 'x' is test }}
{{ 5 is integer }}{{ 5.0 is integer }}{{ true is integer }}{{ 5 is float }}{{ 5.0 is float }}{{ true is number }}{{ true is boolean }}{{ 1 is boolean }}{{ 1 is true }}{{ true is true }}{{ 0 is false }}
{{ d is mapping }}{{ l is mapping }}{{ l is sequence }}{{ s is sequence }}{{ d is sequence }}{{ n is sequence }}{{ missing is sequence }}{{ range(3) is sequence }}{{ d.items() is iterable }}{{ missing is iterable }}{{ no is iterable }}
{{ range is callable }}{{ s.upper is callable }}{{ s is callable }}{{ missing is callable }}{{ none is none }}{{ missing is none }}
{{ m | selectattr('role', 'equalto', 'user') | list | length }}{{ m | selectattr('x', 'defined') | map(attribute='n') | list }}{{ m | map(attribute='role') | list }}{{ m | groupby('role') | map('last') | map('length') | list }}
{% for g in m | groupby('role') %}{{ g.grouper }}{{ g.list | length }}{{ g[0] }}{{ g }}{% endfor %}
{% for role, items in m | groupby('role') %}{{ role }}{{ items | map(attribute='n') | list }}{% endfor %}
{% for b in range(7) | batch(3, '-') %}{{ b | join(',') }};{% endfor %}{% for b in range(7) | slice(3) %}{{ b | join(',') }};{% endfor %}
{{ l | map('string') | map('upper') | join }}{{ w | map('lower') | sort | join }}{{ m | map(attribute='k') | map(attribute='z') | sort(reverse=true) | join }}
{{ l | first }}{{ l | last }}{{ el | first }}{{ el | last }}{{ s | first }}{{ d | first }}{{ missing | first }}
{{ (el | first) is defined }}{{ el | first | default('none') }}{{ missing | default }}{{ no | default('x') }}{{ no | default('x', true) }}{{ 0 | default('x', true) }}
{{ l | max }}{{ l | min }}{{ el | max }}{{ w | max }}{{ w | min }}{{ m | max(attribute='n') }}
{{ l | sum }}{{ el | sum }}{{ m | sum(attribute='n') }}{{ [0.1] * 3 | sum }}{{ [[1], [2]] | sum(start=[]) }}
{{ ['a', 'b'] | sum }}
{{ 42.55 | round(1) }}{{ 42.45 | round(1) }}{{ 2.5 | round }}{{ 3.5 | round }}{{ -2.5 | round }}{{ 42 | round }}{{ 42.7 | round | int }}{{ 1234.567 | round(-2) }}{{ 42.1 | round(0, 'ceil') }}{{ 42.9 | round(0, 'floor') }}{{ 1e20 | round }}
{{ '42' | int }}{{ '42.9' | int }}{{ 'x' | int }}{{ 'x' | int(5) }}{{ '0x1f' | int(0, 16) }}{{ '1f' | int(base=16) }}{{ ' 42 ' | int }}{{ '1e3' | int }}{{ none | int }}{{ true | int }}{{ '-5' | int }}{{ '1_000' | int }}{{ 1e18 | int }}{{ [] | int }}{{ '' | int }}
{{ '1.5' | float }}{{ 'x' | float }}{{ '1e3' | float }}{{ 'inf' | float }}{{ 'nan' | float }}{{ none | float }}{{ true | float }}{{ '  2 ' | float }}
{{ d | tojson }}{{ m | tojson(indent=2) }}{{ u | tojson }}{{ cjk | tojson(ensure_ascii=true) }}{{ el | tojson(indent=2) }}{{ ed | tojson(indent=2) }}{{ {'a': [], 'b': {}} | tojson(indent=2) }}{{ [1.0, 1e20, 1e-7, none, true, 'a/b'] | tojson }}{{ (1, 2) | tojson }}{{ huge | tojson }}{{ '\x7f\x00\u2028' | tojson }}
{{ missing | tojson }}
{{ d.items() | tojson }}
{{ range(3) | tojson }}
{{ range | tojson }}
{{ 'inf' | float | tojson }}{{ 'nan' | float | tojson }}
{{ {'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(sort_keys=true) }}{{ {2: 1, 'a': 2} | tojson }}{{ {true: 1, none: 2, 1.5: 3} | tojson }}
{{ {2: 1, 'a': 2} | tojson(sort_keys=true) }}
{{ {(1, 2): 1} | tojson }}
{{ [1, [2, {'a': [3]}]] | tojson(indent=1) }}{{ [1, 2] | tojson(separators=(',', ':')) }}{{ {'a': 1, 'b': [1, 2]} | tojson(separators=(', ', ' : '), indent=3) }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb\n\nc' | indent(2, true, true) }}|{{ 'a\nb\n' | indent(2) }}|{{ '' | indent }}|{{ '\n' | indent(2, true) }}
{{ words | wordwrap(10) }}|{{ 'averylongword short' | wordwrap(5) }}|{{ 'a\n\nb c d e' | wordwrap(3) }}|{{ 'well-known hyphen-ated' | wordwrap(6) }}|{{ 'x  y   z' | wordwrap(4) }}
{{ words | truncate(20) }}|{{ words | truncate(20, true) }}|{{ words | truncate(43) }}|{{ words | truncate(40) }}|{{ words | truncate(20, false, ' >>') }}|{{ words | truncate(4) }}
{{ words | wordcount }}{{ "a-b c_d e.f" | wordcount }}{{ words | title }}{{ words | capitalize }}{{ "o'neil mc-donald 3rd" | title }}{{ 'ǆ ß ŉ' | title }}{{ 'ß' | upper }}{{ 'İ' | lower | length }}
{{ '<a href="x">b</a> & c' | escape }}{{ '<b>x</b>  y' | striptags }}{{ u | e }}{{ u | safe }}{{ '&amp;' | escape }}{{ u | forceescape }}
{{ ('<' | escape) ~ '>' }}{{ ('<' | escape) + '>' }}{{ ('<' | safe) is escaped }}{{ ('<' | escape) | escape }}{{ ('a' | escape) is string }}
{{ {'class': 'a b', 'id': none, 'x': 1, 'y': missing} | xmlattr }}{{ {'a': '<'} | xmlattr(false) }}
{{ 'http://example.com/x?y=1 and www.foo.org, mail@x.com' | urlize }}
{{ 'a b&c=d/é' | urlencode }}{{ {'a': 'b c', 'd': 1} | urlencode }}{{ [['a', 1], ['b', 'x y']] | urlencode }}
{{ 1000 | filesizeformat }}{{ 1536 | filesizeformat(true) }}{{ 1 | filesizeformat }}{{ 123456789 | filesizeformat }}{{ 0 | filesizeformat }}
{{ 'abc' | list }}{{ d | list }}{{ (1, 2) | list }}{{ missing | list }}{{ 5 | string }}{{ none | string }}{{ [1] | string }}
{{ no | list }}
{{ n | length }}
{{ no | length }}
{{ l | reverse | list }}{{ s | reverse }}{{ (1, 2) | reverse | list }}{{ l | reverse }}
{{ l | sort }}{{ l | sort(reverse=true) }}{{ ['b', 'a', 'C'] | sort }}{{ [[2, 'a'], [1, 'b']] | sort }}{{ m | sort(attribute='n', reverse=true) | map(attribute='n') | list }}{{ d | sort }}{{ s | sort | join }}
{{ [1, 'a'] | sort }}
{{ [none, 1] | sort }}
{{ dup | unique | list }}{{ ['a', 'A', 'b'] | unique | list }}{{ ['a', 'A'] | unique(true) | list }}{{ [[1], [1], [2]] | unique | list }}
{{ l | select('>', 1) | list }}{{ l | reject('>', 1) | list }}{{ mixed | select('string') | list }}{{ mixed | select | list }}{{ mixed | reject | list }}{{ mixed | map('string') | list }}
{{ l | map }}
{{ l | map('upper', 1) | list }}
{{ l | random in l }}
{{ l | pprint }}{{ d | pprint }}{{ s | pprint }}
{{ s | center(20) }}|{{ s | center(3) }}|{{ 'ab' | center(5) }}|{{ 'abc' | center(6) }}
{{ 'aXbXc'.split('X', 1) }}{{ 'aXbXc'.rsplit('X', 1) }}{{ ' a  b '.split() }}{{ ' a  b '.split(' ') }}{{ ''.split() }}{{ ''.split('x') }}{{ 'a,b,,c,'.split(',') }}{{ 'abc'.split('abc') }}
{{ 'abc'.split('') }}
{{ 'a\x0bb\x0cc\x1cd\x85e\u2028f'.splitlines() }}{{ '\u00a0 x\u3000'.strip() | length }}{{ '\u200bx'.strip() | length }}
{{ '½'.isnumeric() }}{{ '²'.isdigit() }}{{ '²'.isdecimal() }}{{ '٣'.isdigit() }}{{ '٣' | int }}{{ 'é'.isalpha() }}{{ 'é'.isascii() }}{{ ''.isalpha() }}{{ 'ǅ'.istitle() }}{{ 'ª'.islower() }}
{{ 'ÀÉ'.lower() }}{{ 'straße'.upper() }}{{ 'ΑΣ'.lower() }}{{ 'ﬁ'.upper() }}{{ 'ﬁ'.title() }}{{ 'ǆ'.capitalize() }}{{ 'Straße'.casefold() }}{{ 'Σ'.swapcase() }}
{{ 'a\tb'.expandtabs(4) }}{{ '-5'.zfill(4) }}{{ '+5'.zfill(4) }}{{ 'abc'.zfill(2) }}{{ 'a'.ljust(3, 'é') }}
{{ 'a'.ljust(3, 'xx') }}
{{ 'abcabc'.find('c', -2) }}{{ 'abcabc'.rfind('a', 0, 3) }}{{ 'abc'.index('c') }}{{ 'abc'.find('') }}{{ 'abc'.find('', 10) }}{{ 'aaa'.count('aa') }}{{ 'é🙂x'.find('x') }}
{{ 'abc'.replace('', '-') }}{{ 'aaa'.replace('a', 'b', 2) }}{{ 'aaa'.replace('aa', 'b') }}{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('bc') }}
{{ 'abc'.startswith('') }}{{ 'abc'.startswith(()) }}{{ 'abc'.endswith(('b', 'c')) }}{{ 'abc'.startswith('b', 1) }}
{{ 'abc'.startswith(['a']) }}
{{ 'abc'.startswith(1) }}
{{ s.upper(1) }}
{{ s.split(1) }}
{{ s.replace('a') }}
{{ s.nosuch }}|{{ s.nosuch is defined }}
{{ s.nosuch() }}
{{ n() }}
{{ 'abc'[1.5] }}
{{ l['a'] }}|{{ l['a'] is defined }}|{{ s['x'] is defined }}|{{ d[missing] is defined }}
{{ d[l] }}
{{ 'x' in 5 }}
{{ 5 in 'x' }}
{{ 'x' in none }}
{{ l is divisibleby 2 }}
{{ 'a' is odd }}
{{ s | abs }}
{{ s | round }}
{{ '5' | round }}
{{ m | map(attribute='nosuch') | list }}{{ m | map(attribute='k.nosuch') | list }}{{ m | map(attribute='n') | sum }}
{{ m | sum(attribute='nosuch') }}
{{ m | sort(attribute='nosuch') }}
{{ m | join('-', attribute='k.z') }}
{{ nested | map('length') | list }}{{ nested | map('first') | list }}{{ nested | sum(start=[]) }}{{ nested | map('sum') | list }}
{% set x = {'a': 1} %}{% set y = dict(x, **{'b': 2}) %}{{ y }}
{% macro f(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ f(*[1, 3]) }}{{ f(**{'a': 5, 'b': 6}) }}{{ f(*[1], **{'b': 7}) }}
{{ range(*[1, 4]) | list }}{{ dict(**d) }}
{{ f(**1) }}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ loop.index }}{{ k }}{{ v }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for i in [1, 2, 3] | reverse %}{{ i }}{{ loop.length }}{% endfor %}{% for i in l | select('odd') %}{{ loop.length }}{{ loop.revindex }}{% endfor %}
{% for message in m %}{% if message.role == 'user' %}<u>{{ message.n }}</u>{% elif message['role'] == 'bot' %}<b>{{ message['n'] }}</b>{% endif %}{% endfor %}
{%- set first = true -%}{%- for x in m -%}{%- if x.role == 'user' and loop.index0 > 0 -%}U{%- else -%}{{ '\n' }}{%- endif -%}{%- endfor -%}
{% set x = 'a' if n > 3 else 'b' %}{{ x }}{% set y = n > 3 and 'yes' or 'no' %}{{ y }}{% set z = missing or 'dflt' %}{{ z }}{{ (missing or {}).get('x', 'y') }}
{{ (messages | default([])) | length }}{{ tools is defined }}{{ (tools or []) | length }}
{{ 'a' if missing is defined else 'b' if s else 'c' }}{{ ('a', 'b')[1] }}{{ ['a', 'b'][n - 5] }}{{ {'x': 1}['x'] }}{{ 'abc'[n - 4] }}
{% set s = s ~ '!' %}{{ s }}{% if t %}{% set s = s ~ '?' %}{% endif %}{{ s }}
{% set a = b = 1 %}
{% for x in l %}{{ x }}{% endfor
{%if t%}x{%endif%}{{s}}{%for x in l%}{{x}}{%endfor%}
{%-if t-%} x {%-endif-%}{{-s-}}
{{ s}}{{s }}{{	s	}}{{
s
}}
{% if
t
%}x{% endif %}
{{ s | replace("H",
"J") | upper }}
{{ loop.index if loop is defined else 'no loop' }}
{{ namespace(a=1).a }}{{ namespace(a=1)['a'] }}{{ namespace() is mapping }}{{ namespace(a=1) }}
{{ "a" is lower }}{{ "A" is upper }}{{ "aB" is lower }}{{ 1 is lower }}
{{ 3 is ge 3 }}{{ 3 is le 2 }}{{ 3 is ne 3 }}{{ 3 is lt 4 }}{{ 3 is gt 4 }}{{ 'a' is lt 'b' }}
{{ 'é' | tojson }}{{ 'é' | tojson(true) }}{{ '\ud83d\ude42' }}
{{ [1, 2, 3][1:] }}{{ (1, 2, 3)[::-1] }}{{ 'abc'[5:] }}{{ 'abc'[-2:] }}{{ [1, 2, 3][:-1] }}{{ l[none:2] }}{{ l[missing:2] is defined }}
{{ true and 'a' }}{{ 'a' and 'b' }}{{ '' or 'x' }}{{ '' and 'x' }}{{ none or false }}{{ 0 or [] }}{{ not '' }}
{{ 1 in {1: 2} }}{{ 'a' in {'a': 1} }}{{ 2 in [1, 2] }}{{ '' in 'a' }}{{ [1] in [[1]] }}{{ 1.0 in [1] }}{{ true in [1] }}
{{ s.title }}{{ d.get }}
{{ joiner }}{{ dict }}
{% macro m1() %}{{ m2() }}{% endmacro %}{% macro m2() %}two{% endmacro %}{{ m1() }}
{% macro m1() %}x{% endmacro %}{{ m1 }}
{% macro outer() %}{% macro inner() %}in{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}
{% if t %}{% macro c() %}cond{% endmacro %}{% endif %}{{ c() }}
{% for x in l %}{% macro c() %}{{ x }}{% endmacro %}{{ c() }}{% endfor %}
{% call(a, b=2) x() %}{% endcall %}
{% set x %}{% for i in l %}{{ i }}{% endfor %}{% endset %}{{ x }}{{ x | length }}
{% set ns = namespace(found=false) %}{% for x in m %}{% if x.role == 'bot' and not ns.found %}{% set ns.found = true %}{{ loop.index }}{% endif %}{% endfor %}{{ ns.found }}
{% set ns = namespace(x={}) %}{% set ns.x = dict(ns.x, k=1) %}{{ ns.x }}
{% with ns = namespace(i=0) %}{% for x in l %}{% set ns.i = ns.i + 1 %}{% endfor %}{{ ns.i }}{% endwith %}
{{ ([1, 2] | length) + ('ab' | length) }}{{ l | length > 2 }}{{ l | length == 3 and t }}{{ 'a' in w | map('lower') | list }}
{{ '' | default('x', boolean=True) }}{{ {} or 'e' }}{{ [] | default('d', true) }}
{{ 5 | default(1) | string | length }}{{ 'x' * n }}{{ '-' * (n * 2) }}
{{ "{{" }}{{ '{%' }}{{ "{#" }}
{{ 'tab	inside' }}{{ 'new
line' }}
a{{ '' }}
b{% set x = 1 %}
c
{% set x = 1 -%}

d
{%- if false %}{% endif %}

  {%- set x = 2 %}
e
{% if t %}x{% endif %}

y
{% for i in l %}
{{ i }}
{% endfor %}
 {% for i in l %} 
 {{ i }} 
 {% endfor %} 
	{% if t %}
	tab
	{% endif %}
text {% if t %}
inline
{% endif %} after
{# c #}
{# c #} x
 {# c #}
x{# c #}
y
{{ 1 }}

{{ 2 }}
	 {{- 3 }}
{%- raw -%}

 r
{%- endraw -%}
 q""".split("\n")


def statements():
    """Groups lines: a template is one line; templates of several lines are joined below."""
    return STATEMENTS


MULTILINE = [
    "{% if t %}\na\n{% endif %}\nb\n", "a\n  {% if t %}\n  b\n  {% endif %}\nc", "a\n{%- if t %}\n\nb\n{%- endif %}\n\nc\n\n", "{{ s }}\n", "{{ s }}\n\n", "\n{{ s }}",
    "\n\n{% set x = 1 %}\n\n{{ x }}", "{% for i in l %}\n  {{ i }}\n{% endfor %}\n", "{% for i in l -%}\n  {{ i }}\n{%- endfor %}\n", "a\r\nb\rc\n{% if t %}\r\nx\r\n{% endif %}\r\n",
    "{#- a -#}\n b", "a {#- x #}\n b {# y -#}\n c", "  {# x #}\n  y", "a  {# x #}  \n  y", "{% raw %}\n{{ x }}\n{% endraw %}\ny", "{% raw -%}\n x\n{%- endraw %}\ny",
    "{%+ if t %}\nx\n{%+ endif %}\ny", "  {%+ if t +%}\n  x\n  {%- endif +%}\n  y", "a\n\t {% set x = 1 %}  \nb{{ x }}", "a {% set x = 1 %}\nb", "{% macro f() %}\n  body\n{% endmacro %}\n{{ f() }}\n.",
    "{% set x %}\nabc\n{% endset %}\n[{{ x }}]", "{% filter upper %}\nabc\n{% endfilter %}\n.", "{% if t %}{% if t %}\n  x\n  {% endif %}\n{% endif %}\n.", "{{ '\n' }}\n{{- '\n' -}}\n.",
    "{% generation %}\nx\n{% endgeneration %}\ny", "{% call f() %}\n{% endcall %}", "{%- for m in m -%}\n  {{- m.role + ':' + m.n | string + '\n' -}}\n{%- endfor -%}\n",
    "{{ s\n  | upper\n  | replace('L', 'x') }}", "{% if s\n   and n\n   or f %}\nx\n{% endif %}", "{{ {\n 'a': 1,\n 'b': [1,\n 2]\n} }}", "{# a {# b #} c", "{# a #} b #}", "{%if t%}\n{%endif%}\n.",
    "x{% if t %}\n\n\ny\n\n{% endif %}\n\nz\n\n", "\t{{ s }}\t\n\t{% if t %}\t\n\t{% endif %}\t\n", "{% for x in l %}{{ x }}{% if not loop.last %}\n{% endif %}{% endfor %}",
    "{% if t -%}\n\n  a\n\n{%- else -%}\n b\n{%- endif %}\n\n c", "line{% break %}", "{% for x in l %}\n  {% if x == 1 %}\n    {% continue %}\n  {% endif %}\n  {{ x }}\n{% endfor %}\nend\n",
    "{% set ns = namespace(t='') %}\n{% for x in m %}\n{% set ns.t = ns.t ~ x.role ~ '\\n' %}\n{% endfor %}\n{{ ns.t }}",
    "{% for x in [1,2,3] recursive %}{{ x }}{% if x > 1 %}{{ loop([x - 1]) }}{% endif %}{% endfor %}", "{% macro t(x, depth=0) -%}\n{{ '  ' * depth }}{{ x }}\n{% if depth < 3 %}{{ t(x, depth + 1) }}{% endif %}\n{%- endmacro %}\n{{ t('q') }}",
]


def random_expression(r, depth):
    if depth == 0 or r.random() < 0.15:
        return r.choice(value_expressions())
    kind = r.randrange(10)
    sub = lambda: random_expression(r, depth - 1)  # noqa: E731
    if kind < 2:
        return f"({sub()} {r.choice(OPERATORS)} {sub()})"
    if kind < 5:
        return f"({sub()}) | {r.choice(FILTER_CALLS)}"
    if kind == 5:
        return f"(({sub()}).{r.choice(METHODS)})"
    if kind == 6:
        return f"(({sub()})[{r.choice(SUBSCRIPTS)}])"
    if kind == 7:
        return f"(({sub()}) is {r.choice(TESTS)})"
    if kind == 8:
        return f"({sub()} if {sub()} else {sub()})"
    return f"[{sub()}, {sub()}]"


CONVERSATION = {
    "messages": [
        {"role": "system", "content": "You are helpful.\n"},
        {"role": "user", "content": " What is the weather in Zürich? "},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nLet me look.", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2, "exact": True}}}]},
        {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": "{\"t\": 21.5}"},
        {"role": "assistant", "content": None, "reasoning_content": "so"},
        {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "image"}, {"type": "text", "text": "tomorrow?"}]}],
    "tools": [{"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string", "enum": ["Zürich", "Bern"]},
                                                                 "days": {"type": ["integer", "null"], "default": 1}}}}}],
    "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", "enable_thinking": False,
}

# What templates of publishers do with a message m, its index and the tools.
MESSAGE_VALUES = """m.role
m['role']
m.content
m['content']
m.content | trim
m.content | string
m.content or ''
m.content | default('none', true)
m.get('content')
m.get('reasoning_content', 'no')
m.content.split('</think>')[-1].lstrip('\\n')
m.content.split('<think>')[0]
m.content[:5]
m.content[-3:]
m.content[::-1]
m.content | length
m.content | upper
m.content.strip().replace('\\n', ' ')
m.content | replace('e', 'E') | capitalize
m.tool_calls
m.tool_calls[0].function.name
m.tool_calls | length
m.tool_calls | tojson
(m.tool_calls or []) | map(attribute='function.name') | join(', ')
m | tojson
m | tojson(indent=2)
m | tojson(ensure_ascii=true, sort_keys=true)
m | tojson(separators=(',', ':'))
m | items | list
m.items() | list | length
m | dictsort
m.keys() | join('|')
messages[0].content
messages[-1]['role']
messages[loop.index0].role
messages[loop.index0 - 1].role
messages | length
messages | map(attribute='role') | unique | join(',')
(messages | selectattr('role', 'equalto', 'user') | list | last).content
messages | rejectattr('role', 'in', ['user', 'tool']) | map(attribute='content') | list
(messages | groupby('role') | first).grouper
loop.index
loop.revindex0
loop.first
loop.last
loop.previtem.role
loop.nextitem.role if not loop.last else 'end'
loop.cycle('odd', 'even')
loop.changed(m.role)
tools | tojson(indent=4)
tools[0].function.parameters.properties.keys() | list
tools[0]['function']['parameters']['required'] | join
bos_token + m.role + eos_token
bos_token ~ loop.index ~ eos_token
ns.n
ns.text
ns.found
x
y
strftime_now('%d %b %Y')
strftime_now('%A, %-d %B %y %H:%M:%S %j %p %I')
'%s: %r' % (m.role, m.content)
'{}/{:>5}/{!r}'.format(m.role, loop.index, m.role)
raise_exception('no ' + m.role)
undefined_name
enable_thinking
not enable_thinking
f(m.role)
f(m.content, loop.index)
f(value=loop.index, width=4)
g(m)
range(loop.index) | list
(loop.index0 % 2 == 0) == (m.role == 'user')
loop.index0 // 2 + loop.index / 2
{'role': m.role, 'n': loop.index}
[m.role, loop.index, none, true]
m.content is string
m.content is iterable and m.content is not string and m.content is not mapping
m.tool_calls is defined and m.tool_calls is not none
m.content is none
'role' in m
'Z' in m.content
m.role in ['user', 'tool']
m.role == 'user' and loop.first or 'x' """.split("\n")

CONDITIONS = ["m.role == 'user'", "m['role'] != 'assistant'", "loop.first", "loop.last", "not loop.first", "m.content is string", "m.tool_calls",
              "m.tool_calls is defined", "loop.index0 > 2 and not ns.found", "tools", "enable_thinking is defined and not enable_thinking",
              "m.role in ['user', 'system']", "'think' in m.content", "m.content is none", "ns.n > 3", "add_generation_prompt", "x", "y is defined",
              "loop.nextitem is defined and loop.nextitem.role == 'tool'", "m.get('name')", "loop.index % 2", "undefined_name is not defined"]


# Those that do not fail in a loop over messages whose content is text.
SAFE_FILTERS = ["trim", "upper", "string", "default('x')", "tojson", "string | length", "string | replace('e', 'E')", "string | title",
                "list | length", "tojson(indent=2)", "string | indent(3)", "string | center(30)", "pprint | length > 0", "string | wordcount", "safe"]


def safe_values(environment):
    """Values that can be printed for every message, and those that need no loop."""
    text_only = {"messages": [{**m, "content": m["content"] if isinstance(m["content"], str) else "plain text"} for m in CONVERSATION["messages"]]}
    head = "{% macro f(value, width=2) %}{{ value }}{{ width }}{% endmacro %}{% macro g(d) %}{{ d }}{% endmacro %}{% set ns = namespace(n=0, text='', found=false) %}"

    def renders(template):
        try:
            environment.from_string(template).render(**{**VARIABLES, **CONVERSATION, **text_only, "x": "x", "y": 2})
            return True
        except Exception:  # noqa: BLE001
            return False

    in_loop = [v for v in MESSAGE_VALUES if renders(head + "{%% for m in messages %%}{{ %s }}{%% endfor %%}" % v)]
    outside = [v for v in MESSAGE_VALUES if renders(head + "{{ %s }}" % v)]
    return in_loop, outside, text_only


def random_tag(r, content):
    """A tag with white space control at random."""
    return "{%" + r.choice(["", "", "-", "-", "+"]) + r.choice([" ", "  ", "\n "]) + content + " " + r.choice(["", "", "-", "-", "+"]) + "%}"


def random_text(r):
    return r.choice(["", "", "\n", "\n", "\n\n", "  ", "\n    ", "text", "<|im_start|>", " a\n", "\t", "\n  x\n", "é ", "{# c #}", "{#- c -#}", "\n  {# c #}\n", "'", "\\n"])


class Writer:
    """Random templates that mostly do not fail."""

    def __init__(self, r, in_loop, outside):
        self.r, self.values = r, {True: in_loop, False: outside}

    def value(self, in_loop):
        return self.r.choice(self.values[in_loop] if self.r.random() > 0.002 else MESSAGE_VALUES)

    def condition(self, in_loop):
        return self.r.choice([c for c in CONDITIONS if in_loop or not re.search(r"\bm\b|loop", c)])

    def print(self, in_loop):
        r, value = self.r, self.value(in_loop)
        if r.random() < 0.2:
            value = f"({value}) {r.choice(['~', '==', '!=', 'or', 'and'])} ({self.value(in_loop)})"
        elif r.random() < 0.2:
            value = f"({value}) | {r.choice(SAFE_FILTERS)}"
        elif r.random() < 0.1:
            value = f"{self.value(in_loop)} if {self.condition(in_loop)} else {value}"
        return "{{" + r.choice(["", "", "-"]) + f" {value} " + r.choice(["", "", "-"]) + "}}"

    def body(self, depth, in_loop):
        return "".join(random_text(self.r) + self.statement(depth, in_loop) for _ in range(self.r.randint(1, 4))) + random_text(self.r)

    def statement(self, depth, in_loop):
        r = self.r
        kind = r.randrange(16) if depth > 0 else r.randrange(6)
        tag = lambda content: random_tag(r, content)  # noqa: E731
        body = lambda loop=in_loop: self.body(depth - 1, loop)  # noqa: E731
        if kind < 3:
            return self.print(in_loop)
        if kind == 3:
            name = r.choice(["x", "y", "ns.text", "ns.found", "x, y"])
            value = f"{self.value(in_loop)}, {self.value(in_loop)}" if name == "x, y" else f"({self.value(in_loop)}) | string"
            return tag(f"set {name} = {value}")
        if kind == 4:
            return r.choice(["plain", tag("set ns.n = ns.n + 1"), tag("set ns.text = ns.text + bos_token"), self.print(in_loop)])
        if kind == 5:
            stop = tag(r.choice(["break", "continue"])) if in_loop and r.random() < 0.3 else random_text(r)
            return tag(f"if {self.condition(in_loop)}") + stop + tag("endif")
        if kind < 9:
            middle = tag(f"elif {self.condition(in_loop)}") + body() if r.random() < 0.3 else ""
            end = tag("else") + body() if r.random() < 0.5 else ""
            return tag(f"if {self.condition(in_loop)}") + body() + middle + end + tag("endif")
        if kind < 12:
            loops = ["m in messages", "m in messages[1:]", "m in messages | reverse", "m in messages if m.role != 'tool'", "m in messages[::2] recursive",
                     "m in messages | selectattr('role', 'in', ['user', 'tool'])"]
            loop, inside = (r.choice(loops), True) if not in_loop or r.random() < 0.3 else (r.choice([
                "x in m.content", "x, y in m.items()", "x in m.tool_calls", "x in tools", "y in range(3)", "x in undefined_name", "x in m.content if x != 'e'",
                "x, y in tools[0].function.parameters.properties | dictsort"]), True)
            otherwise = tag("else") + self.body(depth - 1, in_loop) if r.random() < 0.2 else ""
            return tag(f"for {loop}") + self.body(depth - 1, inside) + otherwise + tag("endfor")
        if kind == 12:
            return tag(r.choice(["set x", "set y | trim", "set ns.text", "set x | upper | replace(' ', '_')"])) + self.body(depth - 1, False) + tag("endset")
        if kind == 13:
            return tag(r.choice(["filter upper", "filter trim | indent(2)", "filter replace('e', '3')"])) + self.body(depth - 1, False) + tag("endfilter")
        if kind == 14:
            return tag(r.choice(["call f('c')", "call(z) g(tools[0])"])) + self.body(depth - 1, False) + tag("endcall")
        return tag(r.choice(["generation", "with x = bos_token, z = 2"])) + self.body(depth - 1, False) + tag("END")


def random_template(r, in_loop, outside):
    writer = Writer(r, in_loop, outside)
    macros = [
        "{% macro f(value, width=2) %}\n[{{ value }}|{{ width }}{{ caller() if caller else '' }}]\n{% endmacro %}",
        "{%- macro f(value, width=none) -%} {{ value ~ width }}{%- if caller is defined %}{{ caller() }}{% endif -%} {%- endmacro %}",
    ]
    uses = ["{% macro g(d) %}{% for k, v in d.items() %}{{ k }}={{ v }}{{ caller(k) if caller else ';' }}{% endfor %}{% endmacro %}",
            "{%- macro g(d) -%}\n{{ d | tojson }}{% if varargs %}{{ varargs }}{% endif %}{{ caller(1) if caller else '' }}\n{%- endmacro -%}\n"]
    head = random_text(r) + r.choice(macros) + random_text(r) + r.choice(uses) + random_text(r) + random_tag(r, "set ns = namespace(n=0, text='', found=false)") + "{% set x, y = 'x', 2 %}"
    source = head + writer.body(1, False) + random_tag(r, "for m in messages") + writer.body(3, True) + random_tag(r, "endfor") + writer.body(1, False)
    # `with` and `generation` close by their own names.
    open_tags, out, at = [], [], 0
    for found in re.finditer(r"(\b)(generation|with x|END)\b", source):
        out.append(source[at:found.start()])
        word = found.group(2)
        if word == "END":
            word = "endgeneration" if open_tags.pop() == "generation" else "endwith"
        else:
            open_tags.append(word)
        out.append(word)
        at = found.end()
    return "".join(out) + source[at:]


def templates(n_random, seed):
    values = value_expressions()
    yield from statements()
    yield from MULTILINE
    for v, f in itertools.product(values, FILTER_CALLS):
        yield "{{ (%s) | %s }}" % (v, f)
    for v, t in itertools.product(values, TESTS):
        yield "{{ (%s) is %s }}{{ (%s) is not %s }}" % (v, t, v, t)
    for v, m in itertools.product(values, METHODS):
        yield "{{ (%s).%s }}" % (v, m)
    for a, o, b in itertools.product(values, OPERATORS, values):
        yield "{{ (%s) %s (%s) }}" % (a, o, b)
    for v, i in itertools.product(values, SUBSCRIPTS):
        yield "{{ (%s)[%s] }}" % (v, i)
    r = random.Random(seed)
    for _ in range(n_random):
        yield "{{ %s }}" % random_expression(r, r.randint(2, 4))
    for value in MESSAGE_VALUES:
        for index in range(len(CONVERSATION["messages"])):
            yield "{%% set m = messages[%d] %%}{%% macro f(v, width=1) %%}{{ v }}{{ width }}{%% endmacro %%}{{ %s }}" % (index, value)


class TooLong(Exception):
    pass


def stop(*_):
    raise TooLong("the reference takes too long")


def reference(environments, template, variables):
    """(kind, text): text, error, sandbox (an error that a laxer engine answers with the text)"""
    strict, lax = environments
    signal.setitimer(signal.ITIMER_REAL, 3)
    try:
        return "text", strict.from_string(template).render(**json.loads(json.dumps(variables)))
    except jinja2.exceptions.SecurityError:
        try:
            return "sandbox", lax.from_string(template).render(**json.loads(json.dumps(variables)))
        except Exception as e:  # noqa: BLE001
            return "error", f"{type(e).__name__}: {e}"
    except RecursionError:
        return "error", "recursion"
    except Exception as e:  # noqa: BLE001
        return "error", f"{type(e).__name__}: {e}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def environments():
    """As transformers configures it, and one where lists may be changed in place."""
    def make(kind):
        for name in ("_compile_jinja_template", "_cached_compile_jinja_template"):
            if hasattr(getattr(ctu, name), "cache_clear"):
                getattr(ctu, name).cache_clear()
        keep = ctu.ImmutableSandboxedEnvironment
        ctu.ImmutableSandboxedEnvironment = kind
        try:
            return ctu._compile_jinja_template("").environment
        finally:
            ctu.ImmutableSandboxedEnvironment = keep

    lax = make(jinja2.sandbox.SandboxedEnvironment)
    return make(jinja2.sandbox.ImmutableSandboxedEnvironment), lax


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--llmgen", required=True)
    parser.add_argument("--random", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=100000)
    parser.add_argument("--only", help="only templates that contain this")
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.RLIM_INFINITY))  # powers and repetitions of any size
    env = environments()
    in_loop, outside, text_only = safe_values(env[0])
    r = random.Random(args.seed)
    written = [random_template(r, in_loop, outside) for _ in range(args.random)]
    cases = [(t, VARIABLES | CONVERSATION) for t in dict.fromkeys(templates(args.random, args.seed))]
    cases += [(t, VARIABLES | CONVERSATION | text_only) for t in written]
    cases = [c for c in cases if not args.only or args.only in c[0]]
    lines = "".join(json.dumps({"template": t, "variables": v, "now": NOW}, ensure_ascii=False) + "\n" for t, v in cases)
    got = subprocess.run([args.llmgen, "render", "--jsonl"], input=lines.encode("utf-8", "surrogatepass"), capture_output=True, check=True, timeout=600)
    answers = [json.loads(x) for x in got.stdout.decode("utf-8").split("\n") if x]
    assert len(answers) == len(cases), (len(answers), len(cases))
    wrong = 0
    kinds = {}
    for (template, variables), answer in zip(cases, answers):
        kind, expected = reference(env, template, variables)
        kinds[kind] = kinds.get(kind, 0) + 1
        ok = ("error" in answer) if kind == "error" else answer.get("text") == expected or (kind == "sandbox" and "error" in answer)
        if not ok and " at 0x" in str(expected):
            ok = True  # addresses of the host
        if ok:
            continue
        wrong += 1
        if wrong <= args.show:
            print(json.dumps([template, kind, expected, answer]))
    print(f"{len(cases)} templates ({kinds}), {wrong} differ (seed {args.seed})", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
