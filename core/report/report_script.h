// The report's script: sorting, filtering, saving. The page is complete without it; what it needs, it makes itself, and
// every text that it puts anywhere it puts as text.
#ifndef QM_REPORT_REPORT_SCRIPT_H
#define QM_REPORT_REPORT_SCRIPT_H

// clang-format off
static const char qm_report_script[] =
    "(function(){'use strict';\n"
    "function all(q,r){return Array.prototype.slice.call((r||document).querySelectorAll(q));}\n"
    "function button(text,act){var b=document.createElement('button');b.type='button';b.className='act';"
    "b.textContent=text;b.addEventListener('click',act);return b;}\n"
    // ---- sorting: rows without that column, such as those that were wrong, stay below ----
    "function keyOf(row,n,columns){if(row.cells.length!==columns)return null;var c=row.cells[n];"
    "if(!c.classList.contains('n'))return c.textContent;var v=c.querySelector('b')||c;"
    "v=parseFloat(v.textContent.replace(/,/g,''));return isNaN(v)?null:v;}\n"
    "function compare(a,b){if(a===null||b===null)return a===b?0:a===null?2:-2;"
    "var x=typeof a==='number',y=typeof b==='number';if(x!==y)return x?-2:2;"
    "if(x)return a<b?-1:a>b?1:0;var o=a.localeCompare(b,undefined,{numeric:true});return o<0?-1:o>0?1:0;}\n"
    "function sortBy(table,heads,n){var th=heads[n],down=th.getAttribute('aria-sort')==='ascending';"
    "heads.forEach(function(h){h.removeAttribute('aria-sort');});"
    "th.setAttribute('aria-sort',down?'descending':'ascending');"
    "var body=table.tBodies[0],rows=Array.prototype.slice.call(body.rows).map(function(r,i){"
    "return{r:r,i:i,k:keyOf(r,n,heads.length)};});"
    "rows.sort(function(p,q){var o=compare(p.k,q.k);if(o===1||o===-1)o=down?-o:o;return o||p.i-q.i;});"
    "rows.forEach(function(x){body.appendChild(x.r);});}\n"
    "all('table.sortable').forEach(function(table){var heads=all('thead th',table);"
    "if(!table.tBodies[0]||table.tBodies[0].rows.length<2)return;"
    "heads.forEach(function(th,n){var b=document.createElement('button');b.type='button';"
    "while(th.firstChild)b.appendChild(th.firstChild);th.appendChild(b);"
    "b.addEventListener('click',function(){sortBy(table,heads,n);});});});\n"
    // ---- filtering ----
    "var form=document.querySelector('form.filter');\n"
    "if(form){var result=form.querySelector('select'),scheme=form.querySelector('input'),"
    "told=form.querySelector('output');\n"
    "var filter=function(){var d=result.value,s=scheme.value.trim().toLowerCase(),shown=0,of=0;"
    "all('[data-d]').forEach(function(e){var name=e.tagName==='TR'&&e.querySelector('td.d')?e.querySelector('th'):"
    "e.tagName==='DETAILS'?e.querySelector('summary b'):null;"
    "var out=(d!==''&&e.getAttribute('data-d')!==d)||"
    "(s!==''&&name&&name.textContent.toLowerCase().indexOf(s)<0);e.hidden=!!out;"
    "if(e.tagName==='TR'){of++;shown+=out?0:1;}});"
    "told.textContent=d===''&&s===''?'':shown+' of '+of+' rows';};\n"
    "result.addEventListener('change',filter);scheme.addEventListener('input',filter);"
    "form.addEventListener('submit',function(e){e.preventDefault();});"
    "form.addEventListener('reset',function(){setTimeout(filter,0);});form.hidden=false;}\n"
    // ---- saving: the drawing that is seen, with its style and ground inside ----
    "function visible(figure){return all('svg',figure).filter(function(s){return s.getClientRects().length;})[0]||"
    "figure.querySelector('svg');}\n"
    "function fileOf(svg){var ns='http://www.w3.org/2000/svg',copy=svg.cloneNode(true),box=svg.viewBox.baseVal,"
    "ground=document.createElementNS(ns,'rect'),style=document.createElementNS(ns,'style');"
    "copy.setAttribute('xmlns',ns);copy.setAttribute('width',box.width);copy.setAttribute('height',box.height);"
    "ground.setAttribute('x',box.x);ground.setAttribute('y',box.y);ground.setAttribute('width',box.width);"
    "ground.setAttribute('height',box.height);"
    "ground.setAttribute('class','qp-ground');"
    "style.textContent=document.getElementById('picture-style').textContent;"
    "copy.insertBefore(ground,copy.firstChild);copy.insertBefore(style,copy.firstChild);"
    "return{text:new XMLSerializer().serializeToString(copy),width:box.width,height:box.height};}\n"
    "function keep(blob,name){var a=document.createElement('a');a.href=URL.createObjectURL(blob);a.download=name;"
    "document.body.appendChild(a);a.click();a.remove();setTimeout(function(){URL.revokeObjectURL(a.href);},10000);}\n"
    "function saveSvg(figure){keep(new Blob([fileOf(visible(figure)).text],{type:'image/svg+xml'}),"
    "figure.getAttribute('data-name')+'.svg');}\n"
    "function savePng(figure){var file=fileOf(visible(figure)),image=new Image();image.onload=function(){"
    "var c=document.createElement('canvas');c.width=file.width*2;c.height=file.height*2;"
    "var g=c.getContext('2d');g.fillStyle=getComputedStyle(figure).backgroundColor;g.fillRect(0,0,c.width,c.height);"
    "g.drawImage(image,0,0,c.width,c.height);"
    "c.toBlob(function(blob){keep(blob,figure.getAttribute('data-name')+'.png');},'image/png');};"
    "image.src='data:image/svg+xml;charset=utf-8,'+encodeURIComponent(file.text);}\n"
    "all('figure.picture').forEach(function(figure){if(!figure.querySelector('svg'))return;"
    "var bar=document.createElement('p'),name=figure.getAttribute('data-name');bar.className='save';"
    "[['SVG',saveSvg],['PNG',savePng]].forEach(function(k){var b=button('Save as '+k[0],function(){k[1](figure);});"
    "b.setAttribute('aria-label','Save as '+k[0]+': '+name);bar.appendChild(b);});figure.appendChild(bar);});\n"
    // ---- a link into what is closed opens it; so does printing ----
    "var opened=[];\n"
    "addEventListener('beforeprint',function(){opened=all('details:not([open])');"
    "opened.forEach(function(d){d.open=true;});});\n"
    "addEventListener('afterprint',function(){opened.forEach(function(d){d.open=false;});});\n"
    "})();\n";
// clang-format on

#endif
