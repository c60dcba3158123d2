package rollout

import (
	"maps"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Unit is the hash of a caller's key under a rollout's salt: the same on every
// gateway, independent of the assignment, and never 0, which stands for a
// request without a key.
func Unit(salt string, key []byte) uint64 { return UnitOf(UnitSeed(salt), key) }

// UnitSeed is what of a Unit depends on the salt alone.
func UnitSeed(salt string) uint64 { return seed(salt, "\x00unit") }

// UnitOf is Unit for a salt's UnitSeed, without an allocation.
func UnitOf(seed uint64, key []byte) uint64 { return max(1, mix(xxhash.Sum64(key)^seed)) }

// row is one caller in one table, packed into a word so that a table is a
// sorted list of numbers: from the top the hash (38 bits), the position of the
// newest step that it was counted in (7), the position of the step before in
// which it was counted on stable (7), the arm (1), what it said (7) and which
// ratio guards judged it (4). The position of a step is its index + 1, that of
// ShadowStep 0. Two of 80,000 callers share a hash with a probability of 1 %.
type row uint64

const (
	hashBits = 38
	// spent, as the step before, says that the caller was counted on the canary
	// already. It stays there, so that what it does next says nothing.
	spent = 127
	// silent, as what a caller said, says that no class is known.
	silent = 127
)

func newRow(unit uint64, position int, canary bool, class int, judged Guards) row {
	r := row(unit>>(64-hashBits)<<(64-hashBits)) | row(position)<<19 | row(class)<<4 | row(judged.ratios())
	if canary {
		r |= 1 << 11
	}
	return r
}

func (r row) hash() uint64            { return uint64(r >> (64 - hashBits)) }
func (r row) position() int           { return int(r >> 19 & 127) }
func (r row) before() int             { return int(r >> 12 & 127) }
func (r row) canary() bool            { return r>>11&1 == 1 }
func (r row) class() int              { return int(r >> 4 & 127) }
func (r row) judged(g Guard) bool     { return r>>g&1 == 1 }
func (r row) withBefore(p int) row    { return r&^(127<<12) | row(p)<<12 }
func (r row) withClass(class int) row { return r&^(127<<4) | row(class)<<4 }

// valid reports that the fields of a row could have been written by newRow and
// merge.
func (r row) valid() bool {
	return r.position() <= MaxSteps && (r.before() == spent || r.before() < max(1, r.position())) &&
		(r.class() < classes || r.class() == silent)
}

// mark is what a later row of the same caller says of this one.
func (r row) mark() int {
	if r.canary() {
		return spent
	}
	return r.position()
}

// merge is what two rows of one caller say together: the newer step counts, the
// older one is remembered. It is commutative, associative and idempotent, so
// that rows may come in any order and again. Of two classes in the same step, a
// hash of the caller and the class chooses: no arm, and no order of events, has
// a say in it.
func (r row) merge(o row) row {
	if r.position() < o.position() {
		r, o = o, r
	}
	before := max(r.before(), o.before())
	if o.position() < r.position() {
		return r.withBefore(max(before, o.mark()))
	}
	class := r.class()
	if r.rank() > o.rank() {
		class = o.class()
	}
	return (r | o&(1<<11|15)).withBefore(before).withClass(class)
}

// rank orders the classes that a caller may have been counted with.
func (r row) rank() uint64 {
	if r.class() == silent {
		return math.MaxUint64
	}
	return mix(r.hash()<<7|uint64(r.class())) >> 1
}

// units is a bounded table of callers. When it is full it halves: only callers
// whose hash is in the lower half of what was kept stay, and only such are
// taken from then on. What is left is a random sample, whatever the callers did
// and wherever they were assigned.
type units struct {
	capacity int
	level    int // callers with a hash below 2^(hashBits−level) are kept
	rows     map[uint64]row
}

// maxLevel is far beyond what any number of callers reaches.
const maxLevel = 32

func (u *units) bound() uint64 { return 1 << (hashBits - u.level) }

// add counts a caller. In one step the first thing that it said stays.
func (u *units) add(r row) {
	if r.hash() >= u.bound() {
		return
	}
	if u.rows == nil {
		u.rows = map[uint64]row{}
	}
	if old, ok := u.rows[r.hash()]; ok {
		if old.position() == r.position() && old.class() != silent {
			r = r.withClass(old.class())
		}
		r = old.merge(r)
	}
	u.rows[r.hash()] = r
	for len(u.rows) > u.capacity && u.level < maxLevel {
		u.level++
		maps.DeleteFunc(u.rows, func(hash uint64, _ row) bool { return hash >= u.bound() })
	}
}

func (u *units) snapshot() table {
	return table{u.level, slices.Sorted(maps.Values(u.rows))}
}

// table is a snapshot of units: rows sorted by hash, one for each.
type table struct {
	level int
	rows  []row
}

// unite is what the tables say together, thinned to the highest level among
// them, on which alone all of them are complete.
func unite(tables ...table) table {
	var all table
	for _, t := range tables {
		all.level = max(all.level, t.level)
		all.rows = append(all.rows, t.rows...)
	}
	return all.thin(all.level)
}

// thin is the table at a level, sorted and with one row for each caller.
func (t table) thin(level int) table {
	level = max(level, t.level)
	slices.Sort(t.rows)
	bound := uint64(1) << (hashBits - level)
	kept := make([]row, 0, len(t.rows))
	for _, r := range t.rows {
		if r.hash() >= bound {
			break
		}
		if last := len(kept) - 1; last >= 0 && kept[last].hash() == r.hash() {
			kept[last] = kept[last].merge(r)
			continue
		}
		kept = append(kept, r)
	}
	return table{level, kept}
}

// scale is how many callers each row stands for.
func (t table) scale() float64 { return math.Ldexp(1, t.level) }
