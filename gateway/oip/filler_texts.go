package oip

import "encoding/base64"

// texts reads the elements of a BYTES tensor.
func (f *filler) texts(n int, inList bool) error {
	s := f.s
	for i := range n {
		element, err := f.text(i)
		if err != nil {
			return err
		}
		f.strings[f.next+i] = element
		if !inList {
			break
		}
		next, ok := after(s.b, s.pos, i+1 == n)
		if !ok {
			return f.listError(i, n)
		}
		s.pos = next
	}
	f.next += n
	return nil
}

func (f *filler) text(i int) ([]byte, error) {
	switch c := f.s.peek(); {
	case c == '"':
		return f.s.str()
	case c == '{' && f.base64:
		return f.base64Object(i)
	}
	return nil, f.elementError(i)
}

// base64Object reads {"b64": "…"}.
func (f *filler) base64Object(i int) (decoded []byte, err error) {
	at := f.s.pos
	members := 0
	err = f.s.object("the element", func(key []byte) error {
		if members++; string(key) != "b64" || members > 1 {
			return refuse("%s: element %d at byte %d is an object with other members than one \"b64\"", f.what(), f.next+i, at)
		}
		if f.s.peek() != '"' {
			return f.s.want("\"b64\"", "a string")
		}
		encoded, err := f.s.str()
		if err != nil {
			return err
		}
		first := len(f.s.text)
		f.s.text, err = base64.StdEncoding.AppendDecode(f.s.text, encoded)
		if err != nil {
			return refuse("%s: element %d at byte %d is not base64", f.what(), f.next+i, at)
		}
		decoded = f.s.text[first:len(f.s.text):len(f.s.text)]
		return nil
	})
	if err == nil && members == 0 {
		err = refuse("%s: element %d at byte %d is an object without \"b64\"", f.what(), f.next+i, at)
	}
	return decoded, err
}
