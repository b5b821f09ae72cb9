"""The table as a picture: a bar each for Keel and KVM, on a logarithmic scale, and the budget as a mark. Plain SVG."""
import math
from xml.sax.saxutils import escape

ROW, LEFT, WIDTH, TOP = 22, 330, 560, 60
LEAST, MOST = 100, 1000000
COLOURS = {"keel": "#1b6ca8", "kvm": "#d98e32", "budget": "#b3261e", "grid": "#dddddd"}


def place(value):
    value = min(max(value, LEAST), MOST)
    return LEFT + WIDTH * math.log(value / LEAST) / math.log(MOST / LEAST)


def bar(y, value, colour):
    text = "%.1f" % (place(value) + 4)
    return ('<rect x="%d" y="%.1f" width="%.1f" height="8" fill="%s"/><text x="%s" y="%.1f" class="s">%s</text>'
            % (LEFT, y, place(value) - LEFT, colour, text, y + 7.5, "{:,}".format(round(value))))


def legend(x, what, colour):
    return '<rect x="%d" y="34" width="12" height="8" fill="%s"/><text x="%d" y="42">%s</text>' % (x, colour, x + 17, what)


def picture(title, rows):
    """rows: those of table.py; only what is counted in instructions, and is compared with KVM or a budget, is drawn."""
    drawn = [row for row in rows if row.shape == "%d" and row.keel < MOST and row.kvm and row.kvm >= LEAST]
    height = TOP + ROW * len(drawn) + 30
    bottom = height - 26
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">' % (LEFT + WIDTH + 90, height),
             '<style>.s{font-size:9px;fill:#555}</style><rect width="100%" height="100%" fill="white"/>',
             '<text x="10" y="20" font-size="15">%s</text>' % escape(title),
             legend(LEFT, "Keel", COLOURS["keel"]), legend(LEFT + 80, "KVM", COLOURS["kvm"]), legend(LEFT + 160, "budget", COLOURS["budget"])]
    for power in range(int(math.log10(LEAST)), int(math.log10(MOST)) + 1):
        x = place(10 ** power)
        parts.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/><text x="%.1f" y="%d" text-anchor="middle" class="s">%s</text>'
                     % (x, TOP - 6, x, bottom, COLOURS["grid"], x, bottom + 12, "{:,}".format(10 ** power)))
    for number, row in enumerate(drawn):
        y = TOP + ROW * number
        parts.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (LEFT - 8, y + 13, escape(row.what)))
        parts.append(bar(y + 1, row.keel, COLOURS["keel"]) + bar(y + 10, row.kvm, COLOURS["kvm"]))
        if row.budget:
            parts.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="2"/>'
                         % (place(row.budget), y - 1, place(row.budget), y + 19, COLOURS["budget"]))
    return "\n".join(parts + ["</svg>"]) + "\n"
