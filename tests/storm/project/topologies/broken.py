from counting import Broken, Numbers
from streamparse import Topology


class Breaking(Topology):
    numbers = Numbers.spec()
    broken = Broken.spec(inputs=[numbers])
