package registry

import (
	"strconv"
	"strings"

	"airmirror/mirror"
)

// maxRanges is how many ranges of one request are announced to the download in advance.
const maxRanges = 64

// parseRanges returns the parts of a blob of the given size that a Range header requests. It only announces what
// net/http is about to read: it skips invalid ranges, which net/http refuses.
// https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2
func parseRanges(header string, size int64) []mirror.Span {
	list, ok := strings.CutPrefix(header, "bytes=")
	if !ok || size <= 0 {
		return nil
	}
	var spans []mirror.Span
	for text := range strings.SplitSeq(list, ",") {
		if len(spans) == maxRanges {
			break
		}
		begin, end, ok := strings.Cut(strings.TrimSpace(text), "-")
		first, last := parsePosition(begin), parsePosition(end)
		switch {
		case !ok, begin != "" && first < 0, end != "" && last < 0:
			continue
		case begin == "": // a suffix range: the last N bytes
			first, last = max(0, size-last), size-1
		case end == "" || last >= size:
			last = size - 1
		}
		if first <= last {
			spans = append(spans, mirror.Span{Off: first, Len: last - first + 1})
		}
	}
	return spans
}

// parsePosition parses a number without a sign. It returns -1 if s is something else.
func parsePosition(s string) int64 {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 63)
	if err != nil {
		return -1
	}
	return int64(n)
}
