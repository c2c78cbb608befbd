"""Chinese words of the examples: their titles, lines and regions. English is what their own files say."""

from __future__ import annotations

REGION_ZH: dict[str, str] = {
    "Sky": "天空", "Hair": "头发", "Skin": "皮肤", "Background": "背景", "White rim and spoon": "白色杯沿和勺子",
    "White dress and music": "白裙和乐谱", "Walls": "墙", "Trees and ground": "树木和地面", "Table": "桌子", "Sea": "海",
    "Seals and writing": "印章和题字", "Roofs": "屋顶", "Red dress and chair": "红裙和椅子", "Red china": "红色瓷器",
    "Piano": "钢琴", "Petals": "花瓣", "Paper": "纸面", "Mount Fuji": "富士山", "Leaves": "叶子", "Land": "陆地", "Lake": "湖",
    "Helmet": "头盔", "Helmet and fan": "头盔和扇子", "Heart": "花心", "Head": "头", "Hairpins": "发簪", "Greenery": "草木",
    "Eyes": "眼睛", "Coffee": "咖啡", "Clothes": "衣服", "Body": "身体", "Boats": "船", "Backdrop": "背景幕",
}  # fmt: skip
"""Names of the examples' regions. They are kept and saved in English, as a person's own are in whatever language."""

EXAMPLE_ZH: dict[str, tuple[str, str]] = {
    "astronaut_as_mona_lisa": ("蒙娜丽莎般的宇航员", "古典大师：脸取自脸，航天服取自深色裙装；头盔没有对应部分，取自整幅画。"),
    "astronaut_in_edo": ("江户的宇航员", "肖像：头发、皮肤和衣服各自取自对应部分；发簪没有用到。"),
    "cat_as_lion": ("猫变狮子", "动物：毛发配毛发，并通过关联让眼睛取草地的橄榄色而更醒目。"),
    "coffee_at_the_piano": ("钢琴旁的咖啡", "重新关联：名称各不相同，由关联指定桌子像钢琴、瓷器像红裙、咖啡像头发。"),
    "dahlia_in_poppies": ("罂粟花中的大丽花", "花卉：一个区域可以取自两个区域，此处背景同时取自叶子和纸面。"),
    "palace_in_auvers": ("奥维尔的宫殿", "单侧区域：村庄里没有湖，因此湖面取自整幅画。"),
    "palace_in_the_snow": ("雪中宫殿", "换一个季节：神社的雪落在屋顶上，池水填满湖面；印章和题字没有用到。"),
    "ramparts_and_great_wave": ("城墙与巨浪", "宽幅海景：版画中没有岸，通过关联让陆地取船的赭色。"),
}
"""Title and line of the examples in Chinese; others show their own words."""
