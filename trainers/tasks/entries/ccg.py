r"""The supertags of CCG in the Parallel Meaning Bank 4.0.0, in the order of the data's label ids.

A stand-in for CCGbank, whose licence keeps it off the hub. The categories are spelled as the PMB
does, ``(s:dcl\np)/np`` where CCGbank has ``(S[dcl]\NP)/NP``.
"""

from __future__ import annotations

_CATEGORIES = r"""
(((s:b\np)/(s:to\np))/np)/np (((s:dcl\np)/(s:to\np))/np)/np (((s\np)\(s\np))\np)/s:dcl
((n\n)/(s:dcl\np))/n ((n\n)/s:dcl)\((n\n)/np) ((np\np)/(s:dcl\np))/(n/pp) ((np\np)/(s:dcl\np))/n
((s:X\np)\(s:X\np))/np ((s:adj\np)/(s:to\np))/(s:adj\np) ((s:adj\np)/pp)/(s:adj\np)
((s:adj\np)/pp)/np ((s:adj\np)/pp)/pr ((s:adj\np)/s:dcl)/(s:adj\np) ((s:adj\np)/s:em)/(s:adj\np)
((s:adj\np)\(s:adj\np))/(s:q/(s:adj\np)) ((s:adj\np)\(s:adj\np))/np ((s:adj\np)\np)/pp
((s:b\np)/(s:adj\np))/np ((s:b\np)/(s:pss\np))/np ((s:b\np)/(s:to\np))/np ((s:b\np)/np)/np
((s:b\np)/np)/pp ((s:b\np)/np)/pr ((s:b\np)/pp)/np ((s:b\np)/pp)/pp ((s:b\np)/pp)/pr
((s:b\np)/pr)/np ((s:b\np)/s:qem)/np ((s:b\np)\(s:b\np))/n ((s:b\np)\(s:b\np))/np
((s:b\np)\(s:b\np))/pp ((s:b\np)\(s:b\np))/s:dcl ((s:dcl\np)/(s:adj\np))/np
((s:dcl\np)/(s:ng\np))/np ((s:dcl\np)/(s:pss\np))/np ((s:dcl\np)/(s:to\np))/np ((s:dcl\np)/np)/np
((s:dcl\np)/np)/pp ((s:dcl\np)/np)/pr ((s:dcl\np)/np)\(((s:dcl\np)/np)/np) ((s:dcl\np)/pp)/np
((s:dcl\np)/pp)/pp ((s:dcl\np)/pp)/pr ((s:dcl\np)/pr)/np ((s:dcl\np)/s:dcl)/np ((s:dcl\np)/s:em)/np
((s:dcl\np)/s:em)/pp ((s:dcl\np)/s:qem)/np ((s:dcl\np)\(s:dcl\np))/n ((s:dcl\np)\(s:dcl\np))/np
((s:dcl\np)\(s:dcl\np))/pp ((s:dcl\np)\(s:dcl\np))\(n/n) ((s:dcl\np)\(s:dcl\np))\np
((s:dcl\np:expl)/(np\np))/np ((s:dcl\np:expl)/s:for)/(s:adj\np) ((s:dcl\np:thr)/pp)/np
((s:ng\np)/(s:adj\np))/np ((s:ng\np)/np)/np ((s:ng\np)/np)/pp ((s:ng\np)/np)/pr ((s:ng\np)/pp)/np
((s:ng\np)/pp)/pr ((s:ng\np)/pr)/np ((s:ng\np)\(s:ng\np))/np ((s:ng\np)\(s:ng\np))/s:dcl
((s:pss\np)/pp)/pr ((s:pss\np)\(s:pss\np))/(s:ng\np) ((s:pss\np)\(s:pss\np))/n
((s:pss\np)\(s:pss\np))/np ((s:pss\np)\(s:pss\np))/pp ((s:pt\np)/(s:adj\np))/np
((s:pt\np)/(s:pss\np))/np ((s:pt\np)/np)/np ((s:pt\np)/np)/pr ((s:pt\np)/pp)/np ((s:pt\np)/pp)/pr
((s:pt\np)/pr)/np ((s:pt\np)\(s:pt\np))/n ((s:pt\np)\(s:pt\np))/np ((s:q/np)/pp)/np ((s:q/pp)/np)/np
((s:wq/pp)/n)/(np/n) ((s\np)\(s\np))/((s\np)\(s\np)) ((s\np)\(s\np))/(s:b\np)
((s\np)\(s\np))/(s:ng\np) ((s\np)\(s\np))/n ((s\np)\(s\np))/np ((s\np)\(s\np))/pp
((s\np)\(s\np))/s:dcl ((s\np)\(s\np))\np (n/(n/pp))/(s:adj\np) (n/n)/(n/n) (n/n)/(s:adj\np) (n/n)/n
(n/n)\(n/n) (n/n)\n (n/n)\np (n/pp)/(n/pp) (n/pp)/n (n/pp)/pp (n\(n/n))\n (n\n)/(s:dcl/np)
(n\n)/(s:dcl\np) (n\n)/n (n\n)/np (n\n)/s:dcl (np/(n/pp))\np (np/n)\(np/n) (np/n)\np (np/pp)/np
(np\np)/(s:dcl/np) (np\np)/(s:dcl\np) (np\np)/n (np\np)/np (s/s)/n (s/s)/np (s/s)/pp (s/s)/s:dcl
(s/s)\np (s:X\np)\((s:X\np)/np) (s:adj\np)/((s:to\np)/np) (s:adj\np)/(s:adj\np) (s:adj\np)/(s:to\np)
(s:adj\np)/np (s:adj\np)/pp (s:adj\np)/s:dcl (s:adj\np)/s:em (s:adj\np)/s:qem (s:adj\np)\(s:adj\np)
(s:adj\np)\n (s:adj\np)\np (s:adj\np)\pp (s:b\np)/(s:adj\np) (s:b\np)/(s:b\np) (s:b\np)/(s:ng\np)
(s:b\np)/(s:pss\np) (s:b\np)/(s:pt\np) (s:b\np)/(s:to\np) (s:b\np)/np (s:b\np)/pp (s:b\np)/pr
(s:b\np)/s:dcl (s:b\np)/s:em (s:b\np)/s:qem (s:b\np)\((s:b\np)/np) (s:b\np)\(s:b\np)
(s:dcl/(s:b\np))/(s:dcl\np) (s:dcl/(s:b\np))/np (s:dcl/(s:b\np))/s:dcl
(s:dcl/(s:dcl/(s:adj\np)))/(s:adj\np) (s:dcl/(s:dcl/np))/n (s:dcl/(s:dcl/np))/np
(s:dcl/(s:pt\np))/np (s:dcl/s:dcl)/n (s:dcl/s:dcl)/np (s:dcl/s:dcl)/pp (s:dcl/s:dcl)/s:dcl
(s:dcl/s:dcl)\(s:dcl/s:dcl) (s:dcl\(s:adj\np))/np (s:dcl\np)/(np/pp) (s:dcl\np)/(s:adj\np)
(s:dcl\np)/(s:b\np) (s:dcl\np)/(s:dcl\np) (s:dcl\np)/(s:ng\np) (s:dcl\np)/(s:pss\np)
(s:dcl\np)/(s:pt\np) (s:dcl\np)/(s:to\np) (s:dcl\np)/np (s:dcl\np)/pp (s:dcl\np)/pr (s:dcl\np)/s:dcl
(s:dcl\np)/s:em (s:dcl\np)/s:qem (s:dcl\np)\((s:dcl\np)/np) (s:dcl\np)\(s:dcl\np)
(s:dcl\np:expl)/(s:b\np) (s:dcl\np:thr)/np (s:dcl\pp)/np (s:dcl\s:dcl)/np (s:dcl\s:dcl)/s:dcl
(s:dcl\s:dcl)\np (s:dcl\s:q)/np (s:dcl\s:q)\np (s:dcl\s:wq)/np (s:for/(s:to\np))/np
(s:inv/(s:adj\np))/np (s:ng\np)/(s:adj\np) (s:ng\np)/(s:b\np) (s:ng\np)/(s:ng\np)
(s:ng\np)/(s:pss\np) (s:ng\np)/(s:to\np) (s:ng\np)/np (s:ng\np)/pp (s:ng\np)/pr (s:ng\np)/s:em
(s:ng\np)/s:for (s:ng\np)\((s:ng\np)/np) (s:ng\np)\(s:ng\np) (s:pss\np)/(s:adj\np) (s:pss\np)/np
(s:pss\np)/pp (s:pss\np)/pr (s:pss\np)/s:qem (s:pt\np)/(s:adj\np) (s:pt\np)/(s:ng\np)
(s:pt\np)/(s:pss\np) (s:pt\np)/(s:to\np) (s:pt\np)/np (s:pt\np)/pp (s:pt\np)/pr (s:pt\np)/s:em
(s:pt\np)\((s:pt\np)/np) (s:pt\np)\(s:pt\np) (s:q/(s:adj\np))/np (s:q/(s:b\np))/np
(s:q/(s:ng\np))/np (s:q/(s:pss\np))/np (s:q/(s:pt\np))/np (s:q/np)/np (s:q/pp)/np
(s:q\s:dcl)/(s:q/(s:adj\np)) (s:q\s:dcl)/(s:q/(s:b\np)) (s:q\s:dcl)/(s:q/(s:ng\np))
(s:q\s:dcl)/(s:q/(s:pt\np)) (s:q\s:dcl)/(s:q/np) (s:q\s:q)/np (s:qem/(s:dcl/np))/n
(s:to\np)/(s:b\np) (s:wq/(s:dcl/np))/n (s:wq/(s:dcl\np))/n (s:wq/(s:q/(s:adj\np)))/(s:adj\np)
(s:wq/(s:q/np))/n (s:wq/(s:q/np))/pp (s:wq/(s:q/pp))/(s:wq/(s:q/np)) (s:wq/(s:q/pp))/n
(s:wq/(s:q/pp))/pp (s:wq/np)/(pp/np) (s:wq\s:wq)/s:dcl (s\np)/(s\np) (s\np)/pp (s\np)\(s\np)
(s\s)/s:dcl , . ; conj conj\conj lrb n n/(n/pp) n/(s:ng\np) n/n n/n:num n/pp n/s:dcl n:num n\n np
np/(n/pp) np/(s:adj\np) np/(s:dcl/np) np/(s:dcl\np) np/n np/np np/pp np/s:dcl np:expl np:thr np\n
np\np pp pp/(s:adj\np) pp/(s:ng\np) pp/n pp/np pp/pp pp/s:dcl pp\np pr rrb s/(s:dcl\np) s/s s:X\s:X
s:adj\np s:adj\s:adj s:b\np s:b\s:b s:dcl/np s:dcl/s:dcl s:dcl/s:inv s:dcl\np s:dcl\s:dcl s:em/s:dcl
s:intj s:ng\np s:pss\np s:pt\np s:q/s:q s:q\s:dcl s:q\s:q s:qem/(s:dcl/np) s:qem/(s:dcl/pp)
s:qem/(s:dcl\np) s:qem/s:dcl s:wq/(s:dcl\np) s:wq/(s:q/(s:adj\np)) s:wq/(s:q/np) s:wq/(s:q/pp)
s:wq/s:q s:wq/s:wq s:wq\s:wq s\s
"""

SUPERTAGS: tuple[str, ...] = tuple(_CATEGORIES.split())
