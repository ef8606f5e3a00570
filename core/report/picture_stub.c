#include "report/picture_internal.h"
void qm_picture_roofline(struct qm_picture_sheet *sheet,size_t i){(void)i;qm_picture_nothing(sheet,"later");}
void qm_picture_accuracy(struct qm_picture_sheet *sheet,size_t i){(void)i;qm_picture_nothing(sheet,"later");}
