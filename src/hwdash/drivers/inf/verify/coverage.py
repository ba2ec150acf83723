"""Which of InfVerif's codes are not judged here, and which are judged by a criterion that we inferred."""

GIVEN_ELSEWHERE = frozenset({1000, 1001, 1002, 1003})
"""Codes of an INF that cannot be judged: ``hwdash inf check`` finds no file (1000), ``verify`` no [Version] (1001), the
parser gives up (1002), the encoding is none of Windows (1003)."""

UNCHECKED: dict[int, str] = {
    1020: "Microsoft does not publish the names of filter levels that are reserved.",
    1207: "It is about the INFs that Microsoft writes, and the directives that those may not have are not published.",
    1220: "Whether a section stands in an included INF or nowhere (1203) takes the INFs of Windows.",
    1223: "Microsoft does not publish the list of registry keys that no driver may write.",
    1225: "Microsoft does not say which values this is about; documented values of a wrong type are under 1431.",
    1270: "The syntax of [DeviceInstall32] is not documented.",
    1292: "Microsoft does not say which directives need a string that is resolved at run time.",
    1293: "Microsoft does not publish the reserved service names; those known of its samples are reported under 1017.",
    1299: "The finding of the syntax error (1002) says itself that nothing else could be judged.",
    1314: "Which included INF has a needed section takes the INFs of Windows.",
    1316: "Which decorated sections an included INF has takes the INFs of Windows.",
    1317: "It takes a product definition of Windows (InfVerif /product).",
    1318: "It takes a product definition of Windows (InfVerif /product).",
    1328: "Microsoft does not say which paths InfVerif replaces, and with what.",
    1382: "Microsoft does not publish the directives that extension INFs may not have; the service flag is 1383.",
    1430: "Microsoft does not publish which registry values are forbidden where.",
    1450: "Microsoft does not publish which directives it calls unisolated.",
    2008: "Which sections an included INF has takes the INFs of Windows.",
    2090: "The patterns that InfVerif rewrites are not published; packages that it calls declarative have known ones.",
    2091: "Microsoft does not publish the patterns that InfVerif would rewrite.",
    2092: "Microsoft does not publish the patterns that InfVerif rewrites.",
    2093: "It is about InfVerif's own rewriting of INFs, which is not published.",
    2402: "The sections of network components and their directives are not documented.",
    2413: "The directives of network components whose value is true or false are not documented.",
    2416: "The directives of network components that list bind tokens are not documented.",
    2417: "The directives of network components that name a binding are not documented.",
    2419: "The directives that list bind tokens, and the standard tokens, are not documented as a whole.",
    2500: "Microsoft does not publish the retired bind tokens, and its samples use some that its pages advise against.",
    2501: "The directives of network components that refer to a service are not documented.",
    2600: "Microsoft does not say which paths of which display drivers must lie in which directory.",
    2601: "Microsoft does not say which paths of which display drivers must lie in which directory.",
    2603: "Microsoft does not publish the directives that display drivers may not use.",
    2650: "Which binaries are those of Windows, and which section brings them, takes the INFs of Windows.",
    2651: "Which INF has a needed section takes the INFs of Windows.",
    2652: "Microsoft does not publish which sections camera INFs must need.",
    2662: "Which audio effects wdmaudio.inf registers takes that INF of Windows.",
    2663: "Which section of wdmaudio.inf an audio effect needs takes that INF of Windows.",
}
"""Why a code is not judged, one sentence each."""

INFERRED = frozenset({
    1006, 1013, 1014, 1015, 1017, 1021, 1078, 1080, 1081, 1082, 1083, 1085, 1086, 1101,
    1103, 1141, 1208, 1242, 1243, 1252, 1254, 1257, 1258, 1300, 1301, 1302, 1307, 1308,
    1309, 1310, 1311, 1312, 1313, 1315, 1319, 1325, 1329, 1331, 1332, 1333, 1340, 1341,
    1400, 1401, 1423, 1431, 2004, 2403, 2411, 2412, 2414, 2415, 2418, 2602, 2660, 2661,
})  # fmt: skip
"""Codes whose meaning is documented, but not what InfVerif judges by them: their findings are marked as inferred."""
