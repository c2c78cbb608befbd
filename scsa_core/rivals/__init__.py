"""Other people's methods with region guidance, written here from their papers, to stand beside ours.

`strotss` optimises the picture itself (slow, strong); `mast` solves for one linear map
between the two pictures' features (closed form). `backbones/strotss.py` and
`backbones/mast.py` put them behind the one interface.
"""
