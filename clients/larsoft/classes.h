// The products that LArSoft's own dictionaries do not have: seven scores per hit.
#include <vector>

#include "canvas/Persistency/Common/Ptr.h"
#include "canvas/Persistency/Common/Wrapper.h"
#include "lardataobj/AnalysisBase/MVAOutput.h"
