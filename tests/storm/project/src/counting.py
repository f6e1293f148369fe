"""The smallest components: numbers, their squares, and a bolt that cannot begin."""

from itertools import count

from streamparse import Bolt, Spout


class Numbers(Spout):
    outputs = ["number"]

    def initialize(self, storm_conf, context):
        self.numbers = count()

    def next_tuple(self):
        number = next(self.numbers)
        if number < 100:
            self.emit([number], tup_id=number)


class Squares(Bolt):
    outputs = ["square"]

    def process(self, tup):
        self.emit([tup.values[0] ** 2])


class Broken(Bolt):
    def initialize(self, storm_conf, context):
        raise ValueError("it cannot begin")

    def process(self, tup):
        pass
