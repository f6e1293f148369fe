from counting import Numbers, Squares
from streamparse import Topology


class Counting(Topology):
    numbers = Numbers.spec()
    squares = Squares.spec(inputs=[numbers], par=2)
