package gc

import "time"

// wait notes files that stay for the grace time alone, and when the last of them was touched.
func (p *Plan) addGrace(files int, bytes int64, touched time.Time) {
	p.InGrace.Blobs += files
	p.InGrace.Bytes += bytes
	if until := p.wallClock(touched).Add(p.now.Sub(timeOf(p.cutoff))); until.After(p.InGrace.Until) {
		p.InGrace.Until = until.UTC()
	}
}

// addGraceTotals adds up what would go if it were not for the grace time.
func (p *Plan) addGraceTotals() {
	p.InGrace.Grace = Age(p.now.Sub(timeOf(p.cutoff)))
	waiting := false
	for place := range p.images {
		waiting = waiting || p.images[place].inGrace && len(p.members.of(int32(place))) > 0
	}
	if waiting {
		p.addGraceImages()
	}
	for _, b := range p.blobs.all() {
		switch {
		case !b.inGrace:
		case b.lastImage == noImage && !b.referenced:
			p.addGrace(1, b.size, p.blobs.graceStart)
		case b.lastImage != noImage && p.deletesImage(b.lastImage): // its image goes, and it came lately for another one
			p.addGrace(1, b.size, p.now)
		}
	}
}

// addGraceImages adds up the units that wait, and of their files those that nothing needs which stays for more than that.
func (p *Plan) addGraceImages() {
	for place, u := range p.images {
		if !p.deletesImage(int32(place)) && !u.inGrace {
			p.eachFile(int32(place), func(b *blob) { b.counted = true })
		}
	}
	for place, u := range p.images {
		if !u.inGrace || len(p.members.of(int32(place))) == 0 {
			continue
		}
		p.InGrace.Images++
		touched := timeOf(p.nodes.at(u.root).lastUse)
		p.addGrace(0, 0, touched)
		p.eachFile(int32(place), func(b *blob) {
			if !b.counted {
				b.counted = true
				p.addGrace(1, b.size, touched)
			}
		})
	}
	for _, b := range p.blobs.all() {
		b.counted = false
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
