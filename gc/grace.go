package gc

import "time"

// addGrace adds files that only the grace period keeps. used is when the last of them was used.
func (p *Plan) addGrace(files int, bytes int64, used time.Time) {
	p.InGrace.Blobs += files
	p.InGrace.Bytes += bytes
	if until := p.wallClock(used).Add(p.now.Sub(timeOf(p.cutoff))); until.After(p.InGrace.Until) {
		p.InGrace.Until = until.UTC()
	}
}

// addGraceTotals adds up what would be deleted without the grace period.
func (p *Plan) addGraceTotals() {
	p.InGrace.Grace = Age(p.now.Sub(timeOf(p.cutoff)))
	found := false
	for index := range p.images {
		found = found || p.images[index].inGrace && len(p.members.of(int32(index))) > 0
	}
	if found {
		p.addGraceImages()
	}
	for _, b := range p.blobs.all() {
		switch {
		case !b.inGrace:
		case b.lastImage == noImage && !b.referenced:
			p.addGrace(1, b.size, p.blobs.graceStart)
		case b.lastImage != noImage && p.deletesImage(b.lastImage): // its image is deleted, and it was used recently for another one
			p.addGrace(1, b.size, p.now)
		}
	}
}

// addGraceImages adds up the images that only the grace period keeps, and their files except for those that other
// kept images need.
func (p *Plan) addGraceImages() {
	for index, img := range p.images {
		if !p.deletesImage(int32(index)) && !img.inGrace {
			p.eachFile(int32(index), func(b *blob) { b.counted = true })
		}
	}
	for index, img := range p.images {
		if !img.inGrace || len(p.members.of(int32(index))) == 0 {
			continue
		}
		p.InGrace.Images++
		used := timeOf(p.nodes.at(img.root).lastUse)
		p.addGrace(0, 0, used)
		p.eachFile(int32(index), func(b *blob) {
			if !b.counted {
				b.counted = true
				p.addGrace(1, b.size, used)
			}
		})
	}
	for _, b := range p.blobs.all() {
		b.counted = false
	}
}

// eachFile calls f with the files of an image, with some of them more than once.
func (p *Plan) eachFile(image int32, f func(*blob)) {
	for _, n := range p.members.of(image) {
		for file := range p.filesOf(n) {
			f(p.blobs.at(file))
		}
	}
}
