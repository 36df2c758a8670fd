"""A node's page in docs/, read: its tables of topics, services and parameters."""

from pathlib import Path
import re

ROOT = Path(__file__).resolve().parents[2]


class NodePage:
    """The tables of one page, a dict for each row, by the heading above them."""

    def __init__(self, name):
        self.text = (ROOT / 'docs' / f'{name}.md').read_text(encoding='utf-8')

    def rows(self, heading):
        """Return the first table under a heading; none where there is no such heading."""
        _, found, section = self.text.partition(f'\n## {heading}\n')
        lines = [line for line in re.split(r'\n#+ ', section)[0].splitlines()
                 if line.startswith('|')] if found else []
        table = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
        return [dict(zip(table[0], row)) for row in table[2:]]

    def topics(self, heading):
        """Return {name: (type, QoS)} of a table of topics, QoS as `qualities` gives it."""
        topics, above = {}, None
        for row in self.rows(heading):
            above = above if row['QoS'] == 'the same' else qualities(row['QoS'])
            topics[code(row['topic'])[0]] = (interface(row['type'])[0], above)
        return topics

    def services(self):
        """Return {name: type} of the table of services."""
        return {name: kind for row in self.rows('Services')
                for name, kind in zip(code(row['service']), interface(row['type']))}

    def parameters(self):
        """Return {name: (changeable, type, default, range)} of the table of parameters."""
        return {code(row['parameter'])[0]: (row['parameter'].endswith('*'), row['type'],
                                            row['default'].strip('`'), row['range'])
                for row in self.rows('Parameters')}


def code(cell):
    """Return what a cell has in code spans."""
    return re.findall(r'`([^`]+)`', cell)


def interface(cell):
    """Return the interface types that a cell names, as package/Name."""
    return re.findall(r'\b([a-z][a-z_0-9]*/[A-Z]\w*)', cell)


def qualities(cell):
    """Return (reliabilities, durability, depth) of a cell such as 'best effort, depth 1'."""
    kinds = {kind for kind in ('reliable', 'best effort') if kind in cell}
    depth = re.search(r'depth (\d+)', cell)
    return (frozenset(kinds), 'transient local' if 'transient local' in cell else 'volatile',
            int(depth.group(1)) if depth else None)
