"""A timeline as a picture, plain SVG: for each core a bar of who ran, below it the exits by reason, and marks where something was injected. Pure."""
from collections import Counter
from xml.sax.saxutils import escape

LEFT, WIDTH, TOP = 70, 1010, 44
RUN, EXIT, MARK, GAP = 22, 20, 9, 16
LEGEND = 18
STEPS = 8
TOGETHER = 10       # shapes in a line of the file
NARROWEST = 0.6     # of a shape, in units of the picture
REASONS = ["#d1495b", "#edae49", "#00798c", "#66a182", "#8d6a9f", "#2e4057", "#c06e52", "#7fb7be", "#a3a847"]
VCPUS = ["#bcd4e6", "#d5e8c8", "#f3dcc2", "#e0cfe8", "#f5e6a8", "#cfe8e4"]
OTHER = "#999999"


class Scale:
    def __init__(self, cores):
        times = [time for core in cores.values() for each in core.runs for time in (each.begin, each.end)]
        self.begin, self.end = (min(times), max(times)) if times else (0, 1)
        self.span = max(1, self.end - self.begin)

    def place(self, time):
        return LEFT + WIDTH * (time - self.begin) / self.span


def colours(counted, palette):
    return {name: palette[i] if i < len(palette) else OTHER for i, (name, _) in enumerate(counted.most_common())}


def box(x, y, width, height, colour, more=""):
    return '<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"%s/>' % (x, y, width, height, colour, more)


def run_shapes(scale, y, runs, colour):
    shapes = []
    for each in runs:
        x, width = scale.place(each.begin), scale.place(each.end) - scale.place(each.begin)
        shapes.append(box(x, y, max(width, NARROWEST), RUN, colour[each.name]))
        if width > 7 * len(each.name):
            shapes.append('<text x="%.1f" y="%d">%s</text>' % (x + 4, y + 15, escape(each.name)))
    return shapes


def exit_shapes(scale, y, exits, colour):
    """What is too narrow to be seen, and beside another one of its reason, isn't drawn again."""
    shapes, last = [], {}
    for each in exits:
        x, end = scale.place(each.begin), scale.place(each.end)
        if end <= last.get(each.name, 0):
            continue
        width = max(end - x, NARROWEST)
        last[each.name] = x + width
        shapes.append(box(x, y, width, EXIT, colour[each.name]))
    return shapes


def mark_shapes(scale, y, instants):
    places = sorted(set(round(scale.place(each.at)) for each in instants))
    return ['<path d="M%d %dl4 %dh-8z" fill="#b3261e"/>' % (x, y, MARK) for x in places]


def axis(scale, bottom):
    shapes = []
    for step in range(STEPS + 1):
        time = scale.begin + scale.span * step // STEPS
        x = scale.place(time)
        shapes.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#dddddd"/>' % (x, TOP - 6, x, bottom))
        shapes.append('<text x="%.1f" y="%d" text-anchor="middle" class="s">%.3f ms</text>' % (x, TOP - 10, (time - scale.begin) / 1e9))
    return shapes


def legend(y, counted, ticks, colour):
    shapes = []
    for place, (name, count) in enumerate(counted.most_common()):
        x, line = LEFT + 340 * (place % 3), y + LEGEND * (place // 3)
        shapes.append(box(x, line, 12, 12, colour[name]))
        shapes.append('<text x="%d" y="%d">%s: %d, %d ns in the mean</text>' % (x + 18, line + 10, escape(name), count, ticks[name] / count / 1000))
    return shapes


def picture(title, cores):
    scale = Scale(cores)
    runs = Counter(each.name for core in cores.values() for each in core.runs)
    exits, lengths = Counter(), Counter()
    for core in cores.values():
        for each in core.exits:
            exits[each.name] += 1
            lengths[each.name] += each.end - each.begin
    run_colour, exit_colour = colours(runs, VCPUS), colours(exits, REASONS)
    row = RUN + EXIT + MARK + GAP
    bottom = TOP + row * len(cores)
    height = bottom + 14 + LEGEND * ((len(exits) + 2) // 3 + 1)
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">' % (LEFT + WIDTH + 40, height),
             '<style>.s{font-size:10px;fill:#555}</style><rect width="100%" height="100%" fill="white"/>',
             '<text x="10" y="18" font-size="14">%s</text>' % escape(title)] + axis(scale, bottom)
    for place, (number, core) in enumerate(cores.items()):
        y = TOP + row * place
        parts.append('<text x="10" y="%d">core %d</text>' % (y + 15, number))
        parts += run_shapes(scale, y, core.runs, run_colour) + exit_shapes(scale, y + RUN, core.exits, exit_colour)
        parts += mark_shapes(scale, y + RUN + EXIT, core.instants)
    parts += legend(bottom + 6, exits, lengths, exit_colour)
    last = bottom + 6 + LEGEND * ((len(exits) + 2) // 3)
    parts += ['<path d="M%d %dl4 %dh-8z" fill="#b3261e"/><text x="%d" y="%d">an event is injected</text>' % (LEFT + 6, last + 1, MARK, LEFT + 18, last + 10)]
    parts.append("</svg>")
    return "".join("".join(parts[at:at + TOGETHER]) + "\n" for at in range(0, len(parts), TOGETHER))
