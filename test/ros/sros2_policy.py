"""SROS 2 policies, read as sros2 reads them: XInclude, relative and private names resolved."""

from pathlib import Path
from xml.etree import ElementTree

_INCLUDE = '{http://www.w3.org/2001/XInclude}include'
# Which rule an attribute gives, by the element that has it.
RULES = {'topics': ('publish', 'subscribe'), 'services': ('reply', 'request')}


def enclaves(path):
    """
    Return {enclave path: {node's full name: {rule: names}}} of a policy file.

    Raises:
        ValueError: it has something that the policies here have no use for.

    """
    root = ElementTree.parse(path).getroot()
    _expect(root.tag == 'policy' and root.get('version') == '0.2.0', root, path)
    (holder,) = root
    found = {}
    for enclave in holder:
        _expect(enclave.tag == 'enclave' and set(enclave.attrib) == {'path'}, enclave, path)
        (profiles,) = enclave
        found[enclave.get('path')] = dict(_profiles(profiles, path))
    return found


def _profiles(profiles, path):
    _expect(profiles.tag == 'profiles' and not profiles.attrib, profiles, path)
    for profile in profiles:
        if profile.tag == _INCLUDE:
            _expect(profile.get('xpointer')
                    == 'xpointer(/policy/enclaves/enclave/profiles/*)', profile, path)
            other = Path(path).parent / profile.get('href')
            for included in ElementTree.parse(other).getroot().iter('profiles'):
                yield from _profiles(included, other)
            continue
        _expect(profile.tag == 'profile' and set(profile.attrib) == {'ns', 'node'}, profile, path)
        namespace, node = profile.get('ns'), profile.get('node')
        yield f'{namespace.rstrip("/")}/{node}', _rules(profile, namespace, node, path)


def _rules(profile, namespace, node, path):
    rules = {rule: set() for pair in RULES.values() for rule in pair}
    for group in profile:
        _expect(group.tag in RULES and group.attrib, group, path)
        for rule, value in group.attrib.items():
            _expect(rule in RULES[group.tag] and value == 'ALLOW', group, path)
            for entry in group:
                _expect(entry.tag == group.tag[:-1] and not entry.attrib, entry, path)
                name = _resolved(entry.text, namespace, node)
                _expect(name not in rules[rule], entry, path)
                rules[rule].add(name)
    return rules


def _resolved(name, namespace, node):
    if name.startswith('/'):
        return name
    prefix = namespace.rstrip('/')
    return f'{prefix}/{node}{name[1:]}' if name.startswith('~') else f'{prefix}/{name}'


def _expect(condition, element, path):
    if not condition:
        raise ValueError(f'{path}: {element.tag} {element.attrib} {element.text!r}')
