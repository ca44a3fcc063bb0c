"""Overlays: area codes of the US and Canada that serve the same area, for Area Code Geomatch (facts 5.2).

INFERENCE: the groups are those of the numbering plan of 2025. An area code in no group has no overlay. The
relation is not transitive: 917 is an overlay of 212 (Manhattan) and of 718 (Brooklyn), which share no area.
"""

from __future__ import annotations

_GROUPS = """
205 659; 256 938; 480 602 623; 327 870; 209 350; 213 323 738; 310 424; 341 510; 369 707; 408 669; 415 628;
442 760; 530 837; 619 858; 657 714; 747 818; 805 820; 840 909; 279 916; 303 720 983; 748 970; 203 475;
860 959; 202 771; 305 645 786; 321 407 689; 324 904; 448 850; 561 728; 656 813; 754 954; 706 762;
404 470 678 770 943; 208 986; 217 447; 224 847; 309 861; 312 872; 773 872; 331 630; 464 708; 618 730;
779 815; 317 463; 812 930; 270 364; 339 781; 351 978; 508 774; 617 857; 227 240 301; 410 443 667; 248 947;
507 924; 235 573; 314 557; 816 975; 601 769; 336 743; 472 910; 704 980; 919 984; 402 531; 201 551; 609 640;
732 848; 862 973; 702 725; 212 332 646 917; 347 718 917 929; 315 680; 329 845; 363 516; 518 838; 624 716;
631 934; 220 740; 234 330; 283 513; 326 937; 380 614; 419 567; 436 440; 405 572; 539 918; 458 541; 503 971;
215 267 445; 223 717; 272 570; 412 878; 484 610 835; 582 814; 724 878; 803 839; 821 864; 843 854; 615 629;
210 726; 214 469 945 972; 281 346 621 713 832; 430 903; 512 737; 682 817; 385 801; 540 826; 571 703;
686 804; 757 948; 206 564; 253 564; 360 564; 425 564; 304 681; 274 920; 353 608; 534 715;
368 403 587 825; 368 587 780 825; 236 250 257 672 778; 236 257 604 672 778; 204 431 584; 428 506; 709 879;
782 902; 226 382 519 548; 249 683 705; 289 365 742 905; 343 613 753; 416 437 647 942; 263 438 514;
354 450 579; 367 418 581; 468 819 873; 306 474 639
"""


def overlays_of(area_code: str) -> frozenset[str]:
    """Return the area codes that serve the area of one, itself included."""
    return _OVERLAYS.get(area_code) or frozenset({area_code})


_OVERLAYS: dict[str, frozenset[str]] = {}
for _group in map(str.split, _GROUPS.split(";")):
    for _area_code in _group:
        _OVERLAYS[_area_code] = _OVERLAYS.get(_area_code, frozenset()).union(_group)
