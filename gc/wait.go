package gc

import "time"

// wait notes files that stay for the grace time alone, and when the last of them was touched.
func (p *Plan) wait(files int, bytes int64, touched time.Time) {
	p.Waiting.Blobs += files
	p.Waiting.Bytes += bytes
	if until := p.shown(touched).Add(p.now.Sub(moment(p.cutoff))); until.After(p.Waiting.Until) {
		p.Waiting.Until = until.UTC()
	}
}

// findWaiting adds up what would go if it were not for the grace time.
func (p *Plan) findWaiting() {
	p.Waiting.Grace = Age(p.now.Sub(moment(p.cutoff)))
	waiting := false
	for place := range p.units {
		waiting = waiting || p.units[place].waits && len(p.members.of(int32(place))) > 0
	}
	if waiting {
		p.waitingUnits()
	}
	for _, b := range p.blobs.all() {
		switch {
		case !b.waits:
		case b.last == alone && !b.used:
			p.wait(1, b.size, p.blobs.newest)
		case b.last != alone && p.goes(b.last): // its image goes, and it came lately for another one
			p.wait(1, b.size, p.now)
		}
	}
}

// waitingUnits adds up the units that wait, and of their files those that nothing needs which stays for more than that.
func (p *Plan) waitingUnits() {
	for place, u := range p.units {
		if !p.goes(int32(place)) && !u.waits {
			p.eachFile(int32(place), func(b *blob) { b.seen = true })
		}
	}
	for place, u := range p.units {
		if !u.waits || len(p.members.of(int32(place))) == 0 {
			continue
		}
		p.Waiting.Images++
		touched := moment(p.nodes.at(u.root).use)
		p.wait(0, 0, touched)
		p.eachFile(int32(place), func(b *blob) {
			if !b.seen {
				b.seen = true
				p.wait(1, b.size, touched)
			}
		})
	}
	for _, b := range p.blobs.all() {
		b.seen = false
	}
}

// eachFile gives the files of a unit to f, some of them more than once.
func (p *Plan) eachFile(unit int32, f func(*blob)) {
	for _, n := range p.members.of(unit) {
		for file := range p.filesOf(n) {
			f(p.blobs.at(file))
		}
	}
}
